"""Nothing that is handed over to be trained, asked or listened to stays changed but its weights."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import torch
from small_data import Small, same, split, weights
from torch import nn

import kdhelpers as kd
from kdhelpers._random import initial_weights
from kdhelpers.data.batching import Batch, Views, batches
from kdhelpers.evaluation import size
from kdhelpers.objectives.objective import Objective, Terms
from kdhelpers.training.devices import placed
from kdhelpers.training.loop import TrainingError

DATA, BATCH = split(20), next(batches(split(20), 8))
SETTINGS: dict[str, Any] = dict(epochs=1, batch_size=8, device="cpu", progress=False)


def network(seed: int) -> Small:
    """Some layers in eval mode, one laid out channels last, one frozen, and a hook."""
    made = Small(seed=seed).train()
    made.norm.eval()
    with initial_weights(seed):
        made.conv = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 4, 3, padding=1))
    made.conv[0].to(memory_format=torch.channels_last)
    made.conv[0].requires_grad_(False)
    made.head.register_forward_hook(print_nothing)
    made.register_buffer("four", torch.ones(1, 2, 3, 4).permute(0, 3, 1, 2))
    return made


def print_nothing(*_: Any) -> None: ...


def plain(seed: int) -> nn.Module:
    """What can lie side by side with others."""
    return kd.build("mnist_cnn_student", image_size=8, num_classes=3, seed=seed).eval()


def state(model: nn.Module) -> list[Any]:
    """All that is not values: modes, hooks, and of each tensor its memory, layout and gradient."""
    tensors = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers())
    return [
        [(name, each.training, dict(each._forward_hooks), dict(each._forward_pre_hooks))
         for name, each in model.named_modules()],
        [(name, id(tensor), tensor.data_ptr(), tensor.stride(), tensor.device, tensor.dtype,
          tensor.requires_grad)
         for name, tensor in tensors.items()],
    ]  # fmt: skip


class Failing(Objective):
    def forward(self, student: nn.Module, batch: Batch) -> Terms:
        return {"hard": student(batch.inputs).sum() * torch.nan}


def failing(student: nn.Module, teacher: nn.Module) -> None:
    with suppress(TrainingError):
        kd.fit(student, Failing(), DATA, **SETTINGS)


def captured(student: nn.Module, teacher: nn.Module) -> None:
    for each in (student, teacher):
        with kd.capture(each, "norm", stop_at_deepest=True):
            each(BATCH.inputs)
        with torch.random.fork_rng(), suppress(RuntimeError), kd.capture(each, "norm"):
            each(BATCH.inputs[:, :, 1:])  # the head does not take these


def distilled(*, cache: bool, objective: Callable[..., Objective] = kd.Distillation) -> Any:
    def use(student: nn.Module, teacher: nn.Module) -> None:
        guide = kd.Teacher(teacher, cache=cache)
        kd.fit(student, objective(guide), DATA, views=Views(flip=True), ema=0.5, **SETTINGS)
        kd.fit(student, objective(guide), DATA, channels_last=False, validation=DATA, **SETTINGS)
        with torch.random.fork_rng():  # the student's own dropout
            objective(guide)(student, BATCH)

    return use


def many(student: nn.Module, teacher: nn.Module) -> None:
    for others in ([plain(1), plain(2)], [student, plain(2)]):  # side by side, and not
        before = [state(each) for each in others]
        objectives = [kd.Distillation(kd.Teacher(teacher)) for _ in others]
        kd.fit_many(others, objectives, [DATA, DATA], seeds=[0, 1], **SETTINGS)
        assert [state(each) for each in others] == before


PAIR = kd.LayerPair("norm", "norm")
USES: dict[str, Callable[[nn.Module, nn.Module], object]] = {
    "fit": lambda student, _: kd.fit(student, kd.Supervised(), DATA, **SETTINGS),
    "fit in two layouts, kept": distilled(cache=True),
    "fit in two layouts, live": distilled(cache=False),
    "fit, hint": distilled(cache=False, objective=lambda guide: kd.Hint(guide, PAIR)),
    "fit, features": distilled(
        cache=False, objective=lambda guide: kd.WithFeatures(kd.Supervised(), guide, hint=PAIR)
    ),
    "fit that raises": failing,
    "fit_many": many,
    "predict": lambda student, teacher: [kd.predict(each, DATA) for each in (student, teacher)],
    "evaluate": lambda student, teacher: kd.evaluate(
        student, DATA, teacher_logits=kd.predict(teacher, DATA)
    ),
    "regressor_between": lambda student, teacher: kd.regressor_between(
        student, teacher, DATA, "norm", "conv.0"
    ),
    "size": lambda student, _: size(student, (1, 8, 8)),
    "capture": captured,
}


@pytest.mark.usefixtures("global_random_state_is_left_alone")
@pytest.mark.parametrize("use", USES)
def test_nothing_but_the_students_weights_is_changed(use: str) -> None:
    student, teacher = network(1), network(2)
    teacher.head.weight.grad = torch.ones_like(teacher.head.weight)
    gradient = teacher.head.weight.grad
    before, known, of_numpy = state(student) + state(teacher), weights(teacher), weights(student)
    modes = torch.is_grad_enabled(), torch.get_num_threads(), torch.get_default_dtype()
    USES[use](student, teacher)
    assert state(student) + state(teacher) == before
    assert use == "capture" or same(weights(teacher), known)  # statistics of a pass in train mode
    assert teacher.head.weight.grad is gradient
    assert bool((gradient == 1).all())
    assert [name for name, p in teacher.named_parameters() if p.grad is not None] == ["head.weight"]
    assert use.startswith(("fit", "capture")) or same(weights(student), of_numpy)
    assert modes == (torch.is_grad_enabled(), torch.get_num_threads(), torch.get_default_dtype())


@pytest.mark.parametrize("optimizer", [kd.optimizers.adam, kd.optimizers.nesterov])
def test_stale_gradients_do_not_influence_the_first_step(optimizer: Any) -> None:
    clean, stale = Small(), Small()
    for parameter in stale.parameters():
        parameter.grad = torch.full_like(parameter, 9.0)
    for student in (clean, stale):
        kd.fit(student, kd.Supervised(), DATA, optimizer=optimizer, **SETTINGS)
    assert same(weights(clean), weights(stale))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("frozen", ["one", "none", "all"])
def test_frozen_batch_normalisation_stays_so_in_a_student_that_trains(frozen: str) -> None:
    norm = nn.BatchNorm2d(1)
    student = nn.Sequential(norm, Small())
    if frozen != "none":
        (student if frozen == "all" else norm).eval()
    kd.fit(student, kd.Supervised(), DATA, validation=DATA, **SETTINGS)
    assert norm.num_batches_tracked == (0 if frozen == "one" else 3)
    assert norm.training == (frozen == "none")


def test_buffers_that_change_places_or_are_new_keep_their_values() -> None:
    module = nn.Module()
    for name, value in (("now", 1.0), ("before", 2.0), ("count", 3.0)):
        module.register_buffer(name, torch.tensor(value))
    kept = module.count
    with placed(module, torch.device("cpu")):
        module.now, module.before, module.count = module.before, module.now, 5 * module.count
    assert [module.now, module.before, module.count, kept] == [2.0, 1.0, 15.0, 3.0]


def test_filters_of_one_channel_lie_channels_last_as_well() -> None:
    """Kernels are chosen by strides: with others, other last digits and a third of the speed."""
    network = torch.nn.Conv2d(1, 8, 3)
    assert network.weight.stride() == (9, 9, 3, 1)
    with placed(network, torch.device("cpu"), channels_last=True):
        assert network.weight.stride() == (9, 1, 3, 1)
    assert network.weight.stride() == (9, 9, 3, 1)
