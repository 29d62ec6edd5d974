"""Every exercise against right answers and mistakes of learners, written out by hand."""

from typing import Any

import answers_lesson01
import answers_lesson02
import answers_lesson03
import answers_lesson04
import answers_lesson05
import pytest
import torch

from kdhelpers import checks

LESSONS = [answers_lesson01, answers_lesson02, answers_lesson03, answers_lesson04, answers_lesson05]

pytestmark = pytest.mark.usefixtures("global_random_state_is_left_alone")


def rows(name: str) -> list[Any]:
    """(exercise, answer, words of the verdict), the words being the test's id."""
    return [
        pytest.param(exercise, answer, words.split(" | ") if words else [], id=words)
        for lesson in LESSONS
        for exercise, table in getattr(lesson, name).items()
        for words, answers in table.items()
        for answer in (answers if isinstance(answers, list) else [answers])
    ]


@pytest.mark.parametrize(("check", "answer", "words"), rows("RIGHT"))
def test_right(check: checks.Exercise, answer: Any, words: list[str]) -> None:
    """Also under `no_grad`; the words are those of the remark, and without words there is none."""
    for verdict in (check(answer), torch.no_grad()(check)(answer)):
        assert verdict.status == "right", verdict
        assert all(word in verdict.message for word in words)
        assert bool(words) == ("One step further" in verdict.message), verdict


@pytest.mark.parametrize(("check", "answer", "words"), rows("RIGHT"))
def test_right_with_a_float64_default(
    check: checks.Exercise, answer: Any, words: list[str], float64_default: None
) -> None:
    assert check(answer).status == "right"


@pytest.mark.filterwarnings("error::UserWarning")  # torch's hints are silent: the verdict speaks
@pytest.mark.parametrize(("check", "answer", "words"), rows("WRONG"))
def test_wrong(check: checks.Exercise, answer: Any, words: list[str]) -> None:
    """One mistake is named alone, several are counted."""
    verdict = check(answer)
    assert verdict.status == "wrong", verdict
    for word in words:
        if word.startswith("not: "):
            assert word[5:] not in verdict.message
        else:
            assert word in verdict.message, verdict
    assert ("things to repair" in verdict.message) == any(" things" in word for word in words)
    # Only a wrong number asks about the exercise before, and no call of `kl_div` is blamed first.
    assert "the exercise before" in words or "the exercise before" not in verdict.message
    before, _, _ = verdict.message.partition("kl_div")
    assert ". " in before or "kl_div" not in verdict.message


def test_a_stale_capture_is_recognised_in_the_second_check_too() -> None:
    answer = answers_lesson04.capture_of(kept=[])
    for _ in range(2):
        assert "your first call again" in checks.capture_features(answer).message


@pytest.mark.parametrize(
    "surroundings",
    [torch.inference_mode(), torch.no_grad(), torch.device("meta")],
    ids=["inference_mode", "no_grad", "meta"],
)
def test_the_surroundings_of_a_check_do_not_matter(surroundings: Any) -> None:
    usual_loss = answers_lesson01.usual_loss
    with surroundings:
        assert checks.distillation_loss(usual_loss)
        assert checks.distillation_step(answers_lesson01.usual_step)
        detached = checks.distillation_loss(lambda *x: usual_loss(*x).detach())
    assert "No gradient reaches the student" in detached.message
