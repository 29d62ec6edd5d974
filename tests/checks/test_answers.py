"""Every exercise against right answers and mistakes of learners, written out by hand.

They stand in the files `answers_….py` beside this one, none comes from the tables of the checks. A
section begins with the exercise and the arguments as a learner names them; a line is an answer:

    # entropy(p)
    ✓ → -torch.xlogy(p, p).sum(1)
    2 things | bits → -(p * p.log2()).sum(1)

After ✓ or before → stand the words of the verdict, after it what the function returns. Lines above
the first answer are the body of a right one, and an answer may say what is otherwise in it:
`.sum(1) ⇒ .mean(1) ; 0.5 ⇒`. In a section without arguments an answer is the function itself.
"""

import copy
import functools
import importlib
import itertools
import linecache
import math
import re
import statistics
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import kdhelpers as kd
from kdhelpers import checks
from kdhelpers.checks import running

NAMES = dict(copy=copy, functools=functools, itertools=itertools, math=math)
NAMES |= dict(statistics=statistics, np=np, torch=torch, nn=nn, F=F, kd=kd, losses=kd.losses)
FILES = sorted(Path(__file__).parent.glob("answers_*.py"))

pytestmark = pytest.mark.usefixtures("global_random_state_is_left_alone")


def function_of(place: str, arguments: str, body: str, names: dict[str, Any]) -> Any:
    """As from a cell of a notebook: a traceback finds the learner's lines."""
    text = f"def answer({arguments}):\n{indent(body, '    ')}\n"
    linecache.cache[place] = len(text), None, text.splitlines(keepends=True), place
    exec(compile(text, place, "exec"), names := names.copy())
    return names["answer"]


def changed(body: str, changes: str) -> str:
    pairs = dict(map(str.strip, change.split("⇒")) for change in changes.split(" ; "))
    assert all(old in body for old in pairs), changes
    return re.sub("|".join(map(re.escape, pairs)), lambda found: pairs[found[0]], body)


def answers(lesson: Any) -> Iterator[tuple[checks.Exercise, str, Any]]:
    names = NAMES | vars(lesson)
    for section in re.sub(r"(→|;)\n", r"\1 ", lesson.ANSWERS).split("# ")[1:]:
        head, *lines = section.splitlines()
        exercise, _, arguments = head.rstrip(")").partition("(")
        body = "\n".join(line for line in lines if "→" not in line)
        for number, line in enumerate(line for line in lines if "→" in line):
            words, code = map(str.strip, line.split("→"))
            if arguments:
                own = changed(body, code) if "⇒" in code else f"return {code}"
                own = body if code == "as it stands" else own
                place = f"{lesson.__name__}, {head}, {number}"
                answer = function_of(place, arguments, own, names)
            else:
                answer = eval(code, names)
            yield getattr(checks, exercise), words, answer


EXERCISES = {each: name for name, each in vars(checks).items() if isinstance(each, checks.Exercise)}
ANSWERS = [row for file in FILES for row in answers(importlib.import_module(file.stem))]
RIGHT = [(check, words[1:].strip(), answer) for check, words, answer in ANSWERS if words[0] == "✓"]
WRONG = [
    pytest.param(check, words.split(" | "), answer, id=f"{EXERCISES[check]}: {words}")
    for check, words, answer in ANSWERS
    if words[0] != "✓"
]
EVERY_RIGHT = pytest.mark.parametrize(
    ("check", "remark", "answer"), RIGHT, ids=[EXERCISES[check] for check, _, _ in RIGHT]
)


def test_every_exercise_has_right_answers_and_mistakes() -> None:
    right = {EXERCISES[check] for check, _, _ in RIGHT}
    wrong = {EXERCISES[row.values[0]] for row in WRONG}
    assert right == wrong == set(EXERCISES.values())


@EVERY_RIGHT
def test_right(check: checks.Exercise, remark: str, answer: Any) -> None:
    """Without words there is no remark."""
    verdict = check(answer)
    assert verdict.status == "right", verdict
    assert remark in verdict.message
    assert bool(remark) == ("One step further" in verdict.message), verdict


@EVERY_RIGHT
def test_right_with_a_float64_default(
    check: checks.Exercise, remark: str, answer: Any, float64_default: None
) -> None:
    assert check(answer).status == "right"


@pytest.mark.filterwarnings("error::UserWarning")  # torch's hints are silent: the verdict speaks
@pytest.mark.parametrize(("check", "words", "answer"), WRONG)
def test_wrong(
    check: checks.Exercise, words: list[str], answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One mistake is named alone, several are counted."""
    monkeypatch.setattr(running, "MOST_OPERATIONS", 40_000)
    verdict = check(answer)
    assert verdict.status == "wrong", verdict
    for word in words:
        assert (word.removeprefix("not: ") in verdict.message) != word.startswith("not: "), verdict
    assert ("things to repair" in verdict.message) == any(" things" in word for word in words)
    # Only a wrong number asks about the exercise before, and no call of `kl_div` is blamed first.
    assert "the exercise before" in words or "the exercise before" not in verdict.message
    before, _, _ = verdict.message.partition("kl_div")
    assert ". " in before or "kl_div" not in verdict.message


def test_a_stale_capture_is_recognised_in_the_second_check_too() -> None:
    (answer,) = (answer for _, words, answer in ANSWERS if words == "your first call again")
    for _ in range(2):
        assert "your first call again" in checks.capture_features(answer).message


@pytest.mark.parametrize("surroundings", [torch.inference_mode, torch.no_grad, "meta"])
def test_the_surroundings_of_a_check_do_not_matter(surroundings: Any) -> None:
    with torch.device("meta") if surroundings == "meta" else surroundings():
        for check in (checks.distillation_loss, checks.distillation_step):
            assert check(next(answer for of, _, answer in RIGHT if of is check))
        detached = checks.distillation_loss(lambda s, *x: s.detach().sum())
    assert "No gradient reaches the student" in detached.message
