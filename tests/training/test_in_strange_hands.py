"""What strangers' networks, teachers and checkpoints do is told once, in one sentence, or held."""

import random
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from small_data import Small, split
from torch import Tensor, nn

from kdhelpers._random import random_state_kept, seed_all
from kdhelpers.data.split import Split
from kdhelpers.evaluation import evaluate, predict
from kdhelpers.objectives.distillation import Distillation
from kdhelpers.objectives.hints import LayerPair
from kdhelpers.objectives.objective import Supervised, Terms
from kdhelpers.objectives.recorded import RecordedTeacher
from kdhelpers.objectives.teacher import Teacher
from kdhelpers.training.fit import fit


class _Bent(Small):
    """A network whose logits something else has been done to."""

    def __init__(self, act: object) -> None:
        super().__init__()
        self.act = act

    def forward(self, inputs: Tensor) -> Tensor:
        return self.act(super().forward(inputs))  # type: ignore[operator,no-any-return]


def _by_batch(logits: Tensor) -> Tensor:
    return logits - logits.mean(0)


def _of_eight(logits: Tensor) -> Tensor:
    assert len(logits) == 8, "Guard failed: size 8"
    return logits


def test_a_student_that_ends_in_a_softmax_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="the student answers with probabilities"):
        fit(_Bent(nn.Softmax(1)), Supervised(), split(16), epochs=1, progress=False)


def test_a_teacher_that_looks_at_its_batch_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="depends on the batch|depend on the batch"):
        fit(Small(), Distillation(_Bent(_by_batch)), split(16), epochs=1, progress=False)


def test_a_network_of_one_batch_size_is_refused_in_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"does not take images .*: Guard failed: size 8"):
        predict(_Bent(_of_eight), split(12), batch_size=8)


def test_a_network_in_the_place_of_logits_is_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("predict(teacher, split)")):
        evaluate(Small(), split(8), teacher_logits=Small())  # type: ignore[arg-type]


def test_a_regressor_that_does_not_fit_is_refused() -> None:
    pair = LayerPair("a", "b", regressor=nn.Conv2d(3, 4, 1))
    with pytest.raises(ValueError, match=r"Conv2d does not take features \[2, 5, 4, 4\]"):
        pair(torch.zeros(2, 5, 4, 4), torch.zeros(2, 4, 4, 4))


class _Drawing(Supervised):
    """Draws from the global states of Python, NumPy and PyTorch."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn: list[tuple[float, ...]] = []

    def forward(self, student: nn.Module, batch: object) -> Terms:
        drawn = random.random(), np.random.random(), torch.rand(()).item()  # noqa: NPY002
        self.drawn.append(drawn)
        return super().forward(student, batch)  # type: ignore[arg-type]


def test_random_numbers_are_seeded_anew_in_each_epoch_and_put_back() -> None:
    drawn = []
    for start in (1, 2):
        random.seed(start)
        np.random.seed(start)  # noqa: NPY002
        before = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index] # noqa: NPY002
        objective = _Drawing()
        fit(Small(), objective, split(16), epochs=2, batch_size=8, progress=False)
        drawn.append(objective.drawn)
        assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # type: ignore[index] # noqa: NPY002
    assert drawn[0] == drawn[1]
    assert all(len(set(of_one)) == 4 for of_one in zip(*drawn[0], strict=True))


@pytest.mark.parametrize("device", ["cuda:1", "mps", "xpu"])
def test_the_random_state_of_any_device_is_seeded_and_put_back(
    monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    module, state = torch.get_device_module(device), [7]
    monkeypatch.setattr(module, "get_rng_state", lambda which: (which, state[0]))
    monkeypatch.setattr(module, "set_rng_state", lambda kept, which: state.append(kept))
    monkeypatch.setattr(module, "manual_seed", state.append)
    with random_state_kept(torch.device(device)):
        seed_all(3, torch.device(device))
    assert state == [7, 3, (torch.device(device), 7)]


def test_recording_a_teacher_that_knows_nothing_is_warned_of(tmp_path: Path) -> None:
    digits = split(60)
    student = Small()
    wrong = (predict(student, digits).argmin(1)).cpu()
    with pytest.warns(UserWarning, match="less than chance"):
        made = RecordedTeacher.of(
            Teacher(student), Split(digits.images, wrong, digits.mean, digits.std, digits.classes)
        )
    with pytest.raises(ValueError, match="is no file; name one, such as"):
        made.save(tmp_path)


def _late(epoch: int, epochs: int) -> float:
    return 4.0 - 2 * epoch


def test_a_schedule_that_reaches_zero_late_is_refused_before_the_first_step() -> None:
    seen: list[object] = []
    objective = Distillation(Small(), temperature=_late)
    with pytest.raises(ValueError, match="temperature must be a number"):
        fit(Small(), objective, split(16), epochs=3, progress=False, on_epoch=seen.append)
    assert not seen


def test_an_autocast_that_was_left_on_changes_nothing() -> None:
    once, again = Small(seed=1), Small(seed=1)
    fit(once, Supervised(), split(16), epochs=1, precision="fp32", progress=False)
    with torch.autocast("cpu", torch.bfloat16):
        fit(again, Supervised(), split(16), epochs=1, precision="fp32", progress=False)
        logits = predict(again, split(16))
    assert torch.equal(logits, predict(once, split(16)))


@pytest.mark.parametrize("frozen", ["one", "none", "all"])
def test_frozen_batch_normalisation_stays_so_in_a_student_that_trains(frozen: str) -> None:
    norm = nn.BatchNorm2d(1)
    student = nn.Sequential(norm, Small())
    if frozen != "none":
        (student if frozen == "all" else norm).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train = split(16)
        fit(student, Supervised(), train, epochs=2, batch_size=8, validation=train, progress=False)
    assert norm.num_batches_tracked == (0 if frozen == "one" else 4)
    assert norm.training == (frozen == "none")
