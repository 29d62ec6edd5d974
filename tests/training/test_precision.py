"""Precision "auto": by the hardware and the size of a step, and kept by a checkpoint."""

from pathlib import Path
from typing import Any

import pytest
import torch
from small_data import Small, split
from torch import Tensor, nn

from kdhelpers.evaluation import evaluate, predict
from kdhelpers.models import initial_weights
from kdhelpers.objectives.objective import Supervised
from kdhelpers.training import devices
from kdhelpers.training.devices import computes_in_bf16, precision_for
from kdhelpers.training.fit import fit
from kdhelpers.training.many import fit_many, run_arms
from kdhelpers.training.recipe import Recipe, with_precision


@pytest.fixture
def fast_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "computes_in_bf16", lambda device: True)


@pytest.mark.parametrize(
    ("amx", "avx512_bf16", "processor", "fast"),
    [
        (True, True, "GenuineIntel", True),
        (False, True, "AuthenticAMD", True),
        (False, True, "GenuineIntel", False),
        (False, False, "AuthenticAMD", False),
    ],
)
def test_a_cpu_computes_in_bf16_where_its_units_are_faster(
    amx: bool, avx512_bf16: bool, processor: str, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, there in (("_is_amx_tile", amx), ("_is_avx512_bf16", avx512_bf16)):
        monkeypatch.setattr(torch.cpu, f"{name}_supported", lambda t=there: t, raising=False)
    monkeypatch.setattr(devices, "_processor", lambda: f"vendor_id : {processor}")
    assert computes_in_bf16("cpu") is fast


@pytest.mark.parametrize(("capability", "fast"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_a_gpu_computes_in_bf16_from_capability_8(
    capability: tuple[int, int], fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "kind_and_index", lambda device: ("cuda", 1))
    monkeypatch.setattr(torch.cuda, "get_device_capability", {1: capability}.get)
    assert computes_in_bf16("cuda:1") is fast


def test_small_steps_stay_in_fp32(fast_bf16: None) -> None:
    assert precision_for("cpu", lambda: 0.9e9) == "fp32"
    assert precision_for("cpu", lambda: 1.1e9) == "bf16"


def test_without_fast_units_nothing_is_counted() -> None:
    assert precision_for("cpu", lambda: pytest.fail("counted")) == "fp32"


@pytest.mark.parametrize(("batch_size", "chosen"), [(10_000, "bf16"), (7_000, "fp32")])
def test_a_step_counts_forward_and_twice_that_for_backward(
    batch_size: int, chosen: str, fast_bf16: None
) -> None:
    """A 3×3 convolution from 1 to 71 channels on 8×8 pixels: 41,600, so 0.12 M for an image."""
    student = nn.Sequential(
        nn.Conv2d(1, 71, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(71, 10)
    )
    recipe = Recipe(epochs=1, batch_size=batch_size, device="cpu")
    assert with_precision(recipe, student, split(2), None).precision == chosen


def trained(path: Path | None, **settings: Any) -> Any:
    student = Small()
    options = dict(batch_size=50, device="cpu", progress=False) | settings
    return fit(student, Supervised(), split(100), checkpoint=path, **options)


def test_the_history_tells_the_precision(monkeypatch: pytest.MonkeyPatch, fast_bf16: None) -> None:
    assert trained(None, epochs=1).precision == "fp32"
    monkeypatch.setattr(devices, "WORTH_IT", 1.0)
    assert trained(None, epochs=1).precision == "bf16"
    assert trained(None, epochs=1, precision="fp32").precision == "fp32"
    student = Small()
    many = fit_many([student], [Supervised()], [split(100)], epochs=1, seeds=[0], device="cpu")
    assert [history.precision for history in many] == ["bf16"]


@pytest.mark.parametrize("began_with", ["bf16", "fp32"])
def test_a_run_goes_on_in_the_precision_that_it_began_with(
    began_with: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.pt"
    first = trained(path, epochs=1, precision=began_with)
    if began_with == "fp32":  # now on a machine that would choose otherwise
        monkeypatch.setattr(devices, "computes_in_bf16", lambda device: True)
        monkeypatch.setattr(devices, "WORTH_IT", 1.0)
    both = trained(path, epochs=2)
    assert both.precision == began_with
    assert both[0] == first[0]


# -- bf16 learns what fp32 learns -----------------------------------------------------------------


class Network(nn.Sequential):
    def __init__(self) -> None:
        with initial_weights(0):  # in several threads, too
            super().__init__(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 3))


class InItsOwnBf16(Network):
    @torch.autocast("cpu", torch.bfloat16)
    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = super().forward(inputs)
        return logits


def losses(student: nn.Module | None = None, **settings: Any) -> list[float]:
    student = Network() if student is None else student
    options = dict(epochs=3, batch_size=10, lr=1e-2, progress=False) | settings
    return [row["loss"] for row in fit(student, Supervised(), split(100), **options)]


def as_learnt_in_fp32(found: list[float]) -> bool:
    """Close to fp32's losses, which fall, but not those: bf16 has three digits."""
    expected = losses(device="cpu", precision="fp32")
    assert expected[-1] < 0.8 * expected[0]
    return found == pytest.approx(expected, rel=0.02) and found != expected


def test_a_student_learns_in_bf16_inside_an_autocast_of_the_callers() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert as_learnt_in_fp32(losses(device="cpu", precision="bf16"))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_student_with_an_autocast_of_its_own_learns(precision: str) -> None:
    student, accuracies = InItsOwnBf16(), []
    found = losses(
        student, device="cpu", precision=precision, validation=split(100),
        on_epoch=lambda row: accuracies.append(row["validation_accuracy"]),
    )  # fmt: skip
    assert as_learnt_in_fp32(found)
    assert accuracies[-1] == evaluate(student, split(100))["accuracy"]


def test_a_student_answers_with_what_it_learnt_inside_an_autocast_of_the_callers() -> None:
    student, inputs = Network(), torch.ones(2, 1, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        before = student(inputs)
        told = losses(student, device="cpu", precision="fp32")
        answer, logits = student(inputs), predict(student, split(16))
    assert told == losses(device="cpu", precision="fp32")  # it changes nothing
    assert torch.equal(logits, predict(student, split(16)))
    assert torch.allclose(answer.float(), student(inputs), rtol=0.02, atol=0.02)
    assert not torch.allclose(answer, before, rtol=0.1)


def test_students_learn_in_bf16_side_by_side_in_threads() -> None:
    arms = {"bf16": lambda seed: losses(device="cpu", precision="bf16", seed=seed)}
    together, one_by_one = (run_arms(arms, [0, 1, 2, 3], workers=n) for n in (2, 1))
    assert together == one_by_one
    assert as_learnt_in_fp32(together["bf16"][0])
