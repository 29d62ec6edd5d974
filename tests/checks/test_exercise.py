"""The framework of the checks: whatever a learner hands over, the tables, and the verdicts."""

import functools
import html
import itertools
import math
import re
from importlib import import_module
from pkgutil import iter_modules
from textwrap import indent
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from kdhelpers import checks
from kdhelpers.checks import exercise, running
from kdhelpers.checks.misleading_plot import FALSE_ALARMS, HINTS
from kdhelpers.checks.relations import Pair, factor

EXERCISES = {n: e for n, e in vars(checks).items() if isinstance(e, checks.Exercise)}
EVERY = pytest.mark.parametrize("check", EXERCISES.values(), ids=EXERCISES)

pytestmark = pytest.mark.usefixtures("global_random_state_is_left_alone")


def test_the_exercises_are_the_names_of_the_face() -> None:
    decisions = [n for n, e in vars(checks).items() if isinstance(e, checks.Decision)]
    others = ["Check", "Decision", "Exercise", "Verdict", "progress"]
    assert sorted([*EXERCISES, *decisions, *others]) == sorted(checks.__all__)


def test_every_exercise_in_a_file_is_on_the_face() -> None:
    names = [f"kdhelpers.checks.{each.name}" for each in iter_modules(checks.__path__)]
    things = {name: each for file in map(import_module, names) for name, each in vars(file).items()}
    found = {name for name, each in things.items() if isinstance(each, checks.Check)}
    assert len(found) > 20
    assert found <= set(checks.__all__), "name it in kdhelpers/checks/__init__.py"


@EVERY
def test_an_exercise_tells_what_is_asked(check: checks.Exercise) -> None:
    with running.sandbox():
        arguments = ", ".join(check.cases[0].inputs())
    assert re.match(
        rf"Lesson \d\d: `answer\({arguments}\)` → .+\.", f"{check!r} ".replace("\n", " ")
    )
    assert check.__doc__ == check.task


# --- Whatever a learner hands over ----------------------------------------------------------------


def function(body: str) -> Any:
    exec(f"def answer(*arguments):\n{indent(body, '    ')}", names := {})
    return names["answer"]


class Stub:
    def __call__(self, *arguments): ...


BODIES = ["...", "'Your code here.'", "pass", "return None", "result = None\nreturn result"]
BODIES += ["raise NotImplementedError", "raise NotImplementedError('your turn')"]
BODIES += ["result = ...\nreturn result", "soft = ...\nreturn 0.5 * soft"]
BODIES += ["soft = ...\nreturn soft.mean()"]
STUBS = [*map(function, BODIES), functools.partial(function("..."))]
STUBS += [Stub(), Stub().__call__, lambda *arguments: None, None, ...]


@pytest.mark.parametrize("stub", STUBS)
def test_stubs_are_not_attempted_yet(stub: Any) -> None:
    assert checks.soft_targets(stub).status == "not attempted"


@EVERY
def test_a_stub_of_any_exercise_is_not_attempted_yet(check: checks.Exercise) -> None:
    for body in ("...", "raise NotImplementedError", "soft = ...\nreturn 0.5 * soft"):
        assert check(function(body)).status == "not attempted"


class Broken(Exception):
    def __str__(self) -> str:
        raise RuntimeError("even this")


class Odd:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def raises(error):
    def answer(*arguments):
        raise error

    return answer


ODD_ANSWERS = {
    "a number": 3.0,
    "a tensor": torch.zeros(2),
    "text": "def f(): ...",
    "too few": lambda: 1.0,
    "too many": lambda a, b, c, d, e, f, g, h: a,
    "too many keywords": lambda a, *, b, c, d, e, f, g, h: a,
    "builtin": dict.fromkeys,
    "class": Odd,
    "object": lambda *x: Odd(),
    "text result": lambda *x: "text",
    "list result": lambda *x: [1.0, 2.0],
    "bool result": lambda *x: True,
    "first argument": lambda *x: x[0] if x else None,
    "nan": lambda *x: math.nan,
    "inf": lambda *x: torch.tensor([math.inf, 1.0]),
    "empty": lambda *x: torch.zeros(0),
    "5-d": lambda *x: torch.zeros(2, 1, 1, 1, 3),
    "complex": lambda *x: torch.zeros(2, dtype=torch.complex64),
    "sparse": lambda *x: torch.eye(3).to_sparse(),
    "meta": lambda *x: torch.zeros(2, device="meta"),
    "text array": lambda *x: np.array(["h"]),
    "huge int": lambda *x: 10**400,
    "exit": raises(SystemExit(1)),
    "broken error": raises(Broken()),
    "empty error": raises(ValueError()),
    "long error": raises(ValueError("x" * 5000 + "\n" + "y" * 5000)),
    "recursion": function("return answer(*arguments)"),
    "global switch": lambda *x: torch.set_grad_enabled(False),
    "random": lambda *x: torch.randn(2, 3),
}
# To compare an answer with all the mistakes takes long: of each kind of result one exercise gets
# all of them, the others those that differ most.
FEW = {"a number", "too few", "class", "first argument", "nan", "meta", "exit", "global switch"}
ALL = {checks.soft_targets, checks.gap_closed, checks.parity, checks.what_to_ship, checks.mean_std}


@pytest.mark.parametrize(
    ("check", "name"),
    [
        pytest.param(each, name, id=f"{exercise}-{name}")
        for exercise, each in EXERCISES.items()
        for name in ODD_ANSWERS
        if each in ALL or name in FEW
    ],
)
def test_no_answer_makes_a_check_raise(check: checks.Exercise, name: str) -> None:
    verdict = check(ODD_ANSWERS[name])
    assert verdict.status == "wrong"
    assert 10 < len(verdict.message) < 1500
    assert str(verdict).startswith("✗")
    assert torch.is_grad_enabled()


@EVERY
def test_the_interrupt_key_still_works(check: checks.Exercise) -> None:
    with pytest.raises(KeyboardInterrupt):
        check(raises(KeyboardInterrupt()))


def divided(logits, temperature):
    scaled = logits / temperature
    return scaled.softmaks(1)


def below(logits, temperature):
    scaled = logits / temperature
    return F.softmax(scaled, dim=7)


@pytest.mark.parametrize(("answer", "kind"), [(divided, "AttributeError"), (below, "IndexError")])
def test_an_error_is_shown_with_the_learners_line_even_below_torch(answer: Any, kind: str) -> None:
    verdict = checks.soft_targets(answer)
    assert verdict.status == "wrong"
    place = f"in line {answer.__code__.co_firstlineno + 2} (`return "
    assert place in verdict.message
    assert f"`) with {kind}: " in verdict.message
    assert len(verdict.message.splitlines()) <= 2


def test_a_right_answer_that_prints_and_draws_random_numbers(capsys: Any) -> None:
    def answer(logits, temperature):
        print(torch.rand(1).shape)
        return F.softmax(logits / temperature, dim=1)

    assert checks.soft_targets(answer)
    assert "torch.Size([1])" in capsys.readouterr().out


# --- The tables -----------------------------------------------------------------------------------


@EVERY
def test_the_right_decisions_are_taken_by_default(check: checks.Exercise) -> None:
    assert check(check.variant())


@EVERY
def test_every_mistake_is_wrong_and_gets_its_own_sentence(check: checks.Exercise) -> None:
    """No two mistakes with different sentences do the same thing in all cases."""
    for known in check.known:
        verdict = check(check.variant(**known.changes))
        diagnoses = [known.sentence, *(case.if_it_raises for case in check.cases)]
        assert verdict.status == "wrong", known
        assert any(d and d in verdict.message for d in diagnoses), verdict
        assert "things to repair" not in verdict.message


@EVERY
def test_sentences_end_and_speak_plainly(check: checks.Exercise) -> None:
    for sentence in (*(m.sentence for m in check.known), *check.symptoms.values(), check.praise):
        assert sentence.endswith((".", "`.", "?"))
        assert sentence.count("`") % 2 == 0
        assert len(sentence) < 330
        assert len(re.findall(r"[.?!]`?(?= [A-Z`]|$)", sentence)) <= 3


@EVERY
def test_cases_are_the_same_at_every_call_and_never_shared(check: checks.Exercise) -> None:
    def plain(value):
        value = value.state_dict() if hasattr(value, "state_dict") else value
        return value.tolist() if isinstance(value, np.ndarray) else value

    for case in check.cases:
        with running.sandbox():
            first, second = case.inputs(), case.inputs()
        for name, value in first.items():
            other = second[name]
            assert value is not other or isinstance(value, int | float | str)
            if not isinstance(value, str):
                torch.testing.assert_close(plain(value), plain(other), rtol=0, atol=0)


def test_groups_hold_one_change_for_each_decision() -> None:
    for group, changes in itertools.islice(checks.distillation_loss.groups(3), 3000):
        assert len(group) == 3
        assert sorted(changes) == sorted(key for m in group for key in m.changes)


@pytest.mark.parametrize("answer", ["", "...", [], [" ", ""]])
def test_no_letter_is_not_attempted_yet(answer: Any) -> None:
    assert checks.misleading_plot(lambda: answer).status == "not attempted"


def test_one_hint_at_a_time_and_never_a_letter_of_a_flaw() -> None:
    subsets = (itertools.combinations("abcdefg", size) for size in range(1, 8))
    for letters in itertools.chain.from_iterable(subsets):
        message = checks.misleading_plot(lambda chosen=letters: chosen).message
        missing = [hint for flaw, hint in HINTS.items() if flaw not in letters]
        assert [hint for hint in HINTS.values() if hint in message] == missing[:1]
        false = [text for letter, text in FALSE_ALARMS.items() if letter in letters]
        assert [text for text in FALSE_ALARMS.values() if text in message] == false
        assert not any(f"({flaw})" in message for flaw in HINTS)


CLOSE = [
    ([1.0, 2.0], [1.0, 2.0001], True),
    ([1.0, 2.0], [1.0, 2.001], False),
    ([0.0], [1e-8], True),
    ([0.0], [1e-5], False),
    ([math.nan, 1.0], [math.nan, 1.0], True),
    ([math.nan, 1.0], [0.0, 1.0], False),
    ([math.inf], [math.inf], True),
    ([math.inf], [-math.inf], False),
    ([1.0], [1.0, 1.0], False),
]


@pytest.mark.parametrize(("got", "expected", "same"), CLOSE)
def test_close(got: list[float], expected: list[float], same: bool) -> None:
    assert exercise.close(torch.tensor(got), torch.tensor(expected), 1e-4) is same


def test_failures_of_the_same_kind_and_text_are_equal() -> None:
    failure = running.Failure.of
    assert failure(ValueError("a")) == failure(ValueError("a")) != failure(TypeError("a"))
    assert failure(Broken()) == running.Failure("Broken", "")


# --- Verdicts -------------------------------------------------------------------------------------


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(
    ("status", "shown"),
    [("right", "✓ right"), ("wrong", "✗ not yet"), ("not attempted", "○ not attempted yet")],
)
def test_a_verdict_as_text_as_truth_and_as_a_badge(status: Any, shown: str) -> None:
    verdict = checks.Verdict(status, "look again.")
    assert str(verdict) == repr(verdict) == f"{shown}: look again."
    assert bool(verdict) is (status == "right")
    with pytest.raises(AttributeError):
        verdict.status = "right"
    text = verdict._repr_html_()
    assert shown in text
    # The badge can be read, and the message takes the colour of the theme.
    background, colour = (text.split(name)[1][:7] for name in ("background:", ";color:"))
    assert (luminance(colour) + 0.05) / (luminance(background) + 0.05) > 4.5
    assert text.count("color:") == 1


def test_verdict_as_html_is_escaped_and_sets_code() -> None:
    text = checks.Verdict("wrong", "<script>alert(1)</script> & `a < b` \n2. x")._repr_html_()
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; <code>a &lt; b</code>" in text
    assert all(part in text for part in ("✗ not yet", "white-space:pre-wrap", 'role="status"'))
    text = checks.soft_targets(raises(ValueError("<b onclick='x'>")))._repr_html_()
    assert "<b" not in text
    assert html.escape("<b onclick='x'>") in text


def test_an_input_of_0_in_one_case_stops_no_diagnosis() -> None:
    one = torch.ones(1)
    pairs = [Pair(one * k, one, 1e-6, lambda k=k: {"missing": k - 1}) for k in (2, 1, 4)]
    assert factor(pairs) == ""


def test_a_factor_of_about_1_is_none() -> None:
    pairs = [Pair(torch.ones(1) * k * 1.0001, torch.ones(1) * k, 1e-6, dict) for k in (1, 2, 4)]
    assert factor(pairs) == ""
