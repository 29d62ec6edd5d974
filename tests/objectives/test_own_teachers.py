"""Networks as people bring them: compiled, quantised, half precision, with more than one answer."""

import copy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from small_data import Small, same, split, weights
from torch import Tensor, nn

import kdhelpers as kd
from kdhelpers import losses
from kdhelpers.data.batching import Batch
from kdhelpers.evaluation import evaluate, predict
from kdhelpers.objectives.distillation import Distillation
from kdhelpers.objectives.hints import Hint, LayerPair, WithFeatures
from kdhelpers.objectives.objective import Supervised
from kdhelpers.objectives.teacher import Teacher
from kdhelpers.training.fit import fit

RUN: dict[str, Any] = dict(device="cpu", progress=False, epochs=2, batch_size=16)
TRAIN = split()


class Answering(nn.Module):
    """A network whose logits come in some wrapping, always or in train mode only."""

    def __init__(self, wrap: Callable[[Tensor], Any], *, always: bool = True) -> None:
        super().__init__()
        self.network, self.wrap, self.always = Small(seed=1), wrap, always

    def forward(self, inputs: Tensor) -> Any:
        logits = self.network(inputs)
        return self.wrap(logits) if self.always or self.training else logits


WRAPPINGS = {
    "tuple": lambda logits: (logits, logits * 0),
    "dict": lambda logits: {"logits": logits, "features": logits * 0},
    "object": lambda logits: SimpleNamespace(loss=None, logits=logits),
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize(("always", "cache"), [(True, True), (False, False)])
def test_logits_are_found_in_any_answer(wrapping: str, always: bool, cache: bool) -> None:
    wrap, expected = WRAPPINGS[wrapping], Small(seed=1)
    fit(expected, Distillation(Teacher(Small(seed=1), cache=cache)), TRAIN, **RUN)
    student = Answering(wrap, always=always)
    fit(student, Distillation(Teacher(Answering(wrap), cache=cache)), TRAIN, **RUN)
    assert same(weights(student.network), weights(expected))
    assert torch.equal(predict(student, TRAIN), predict(expected, TRAIN))


@pytest.mark.parametrize("always", [True, False])
def test_an_answer_without_logits_is_refused_before_a_weight_changes(always: bool) -> None:
    student = Answering(lambda logits: {"scores": logits}, always=always)
    before = copy.deepcopy(dict(student.named_parameters()))
    with pytest.raises(ValueError, match=r"'logits'.*got \{'scores'"):
        fit(student, Supervised(), TRAIN, **RUN)
    assert same(before, dict(student.named_parameters()))


@pytest.mark.parametrize("joint", [True, False])
def test_a_compiled_student_learns_from_hints_what_the_plain_one_does(joint: bool) -> None:
    plain, pair = Small(seed=1), LayerPair("conv", "conv")
    compiled = torch.compile(copy.deepcopy(plain), backend="eager")
    for student in (plain, compiled):
        teacher = Small(seed=2)
        hint = Hint(teacher, pair)
        objective = WithFeatures(Supervised(), teacher, own=pair) if joint else hint
        fit(student, objective, TRAIN, **RUN)
    assert same(weights(plain), weights(compiled._orig_mod))


class OfLabels(nn.Module):
    def forward(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        return nn.functional.cross_entropy(student, labels) + teacher.mean()


def test_a_soft_loss_gets_the_labels_and_the_temperature_if_it_takes_them() -> None:
    """Be it a function or a module."""
    student, teacher = Small(seed=1).eval(), Small(seed=2).eval()
    images = TRAIN.normalise(TRAIN.images)
    batch = Batch(images, TRAIN.labels, torch.arange(40), torch.zeros(40, dtype=torch.int64))
    logits = student(images), teacher(images)
    for loss, expected in (
        (losses.decoupled_kd_loss, losses.decoupled_kd_loss(*logits, TRAIN.labels, temperature=2)),
        (losses.logit_mse, losses.logit_mse(*logits)),
        (losses.kd_loss, losses.kd_loss(*logits, temperature=2)),
        (nn.MSELoss(), losses.logit_mse(*logits)),
        (OfLabels(), OfLabels()(*logits, TRAIN.labels)),
    ):
        objective = Distillation(teacher, alpha=1.0, temperature=2, soft_loss=loss)
        torch.testing.assert_close(objective(student, batch)["soft"], expected)


@pytest.mark.parametrize("cache", [True, False])
def test_a_teacher_of_another_precision_teaches(cache: bool) -> None:
    expected = fit(Small(), Distillation(Teacher(Small(seed=2), cache=cache)), TRAIN, **RUN)
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        teacher = Small(seed=2).to(dtype)
        history = fit(Small(), Distillation(Teacher(teacher, cache=cache)), TRAIN, **RUN)
        assert history[-1]["soft"] == pytest.approx(expected[-1]["soft"], rel=0.05)
        assert teacher.head.weight.dtype is dtype
        assert predict(teacher, TRAIN).dtype is torch.float32
        if not cache:
            fit(Small(), Hint(teacher, LayerPair("conv", "conv")), TRAIN, **RUN)


def quantised() -> nn.Module:
    return torch.ao.quantization.quantize_dynamic(Small(seed=2).eval(), {nn.Linear})


def exported() -> nn.Module:
    images = TRAIN.normalise(TRAIN.images[:2])
    batch = torch.export.Dim("batch")
    program = torch.export.export(Small(seed=2).eval(), (images,), dynamic_shapes=({0: batch},))
    return program.module()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [quantised, exported])
def test_programs_that_only_run_are_measured_and_teach(make: Callable[[], nn.Module]) -> None:
    logits = predict(make(), TRAIN)
    torch.testing.assert_close(logits, predict(Small(seed=2), TRAIN), atol=0.1, rtol=0.1)
    assert evaluate(make(), TRAIN, teacher_logits=logits)["agreement"] == 1.0
    for cache in (True, False):
        fit(Small(), Distillation(Teacher(make(), cache=cache)), TRAIN, **RUN)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_a_student_of_another_precision_is_told_the_remedy(dtype: torch.dtype) -> None:
    with pytest.raises(ValueError, match=rf"weights are {dtype}, which .float\(\) makes float32"):
        kd.fit(Small().to(dtype), kd.Supervised(), split(), epochs=1, device="cpu")


def of_eight(logits: Tensor) -> Tensor:
    assert len(logits) == 8, "Guard failed: size 8"
    return logits


def test_a_network_of_one_batch_size_is_refused_in_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"does not take images .*: Guard failed: size 8"):
        predict(Answering(of_eight), split(12), batch_size=8)


def test_a_network_in_the_place_of_logits_is_refused() -> None:
    with pytest.raises(ValueError, match=r"predict\(teacher, split\)"):
        evaluate(Small(), TRAIN, teacher_logits=Small())  # type: ignore[arg-type]
