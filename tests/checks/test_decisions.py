"""The exercises in deciding: right and wrong decisions, and what the verdict says of them."""

from collections.abc import Callable
from statistics import fmean
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from kdhelpers import checks, stats

pytestmark = pytest.mark.usefixtures("global_random_state_is_left_alone")


def best(settings: list[float], choose: Callable[..., float] = max) -> Any:
    def answer(trial):
        means = {setting: fmean(trial(setting)) for setting in settings}
        return choose(means, key=means.get)

    return answer


RATES, TEMPERATURES = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3], [1, 4, 16, 32, 64, 128]
TWELVE = [0.5, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32]


def control(make: Any, limit: float | None = None) -> Any:
    """A verdict by the paired interval, or by a mean difference beyond the `limit`."""

    def answer(teacher_logits, labels, trial):
        own = make(teacher_logits, labels)
        difference = stats.paired_difference(trial(own), trial(teacher_logits))
        return own, difference.low > 0 if limit is None else difference.mean > limit

    return answer


def within(logits, labels):
    other = logits.clone()
    for label in labels.unique():
        places = (labels == label).nonzero().squeeze(1)
        other[places] = logits[places.roll(1)]
    return other


def now_and_then(logits, labels):
    other = within(logits, labels)
    other[::7] = logits[::7]
    return other


def means(logits, labels):
    return torch.stack([logits[labels == c].mean(0) for c in range(10)])[labels]


def paired(teacher_logits, labels, trial):
    own = within(teacher_logits, labels) + 5  # a softmax does not see it
    difference = stats.paired_difference(trial(own), trial(teacher_logits))
    return [own, difference.low > 0]


def patience(epochs: int, shrinks: float = 0.7, key: str = "validation") -> Any:
    def answer(history):
        seen = [epoch[key] for epoch in history]
        best = seen.index(min(seen))
        collapsed = history[-1]["target"] < shrinks * history[0]["target"]
        return collapsed or len(seen) - 1 - best >= epochs

    return answer


def read(pairs: Any = (40,), verdict: Any = None, fate: Any = None, confidence: Any = 0.95) -> Any:
    """`verdict` and `fate` take mean, low and high."""

    def judge(trial, claim):
        gains = np.concatenate([trial(n) for n in pairs])
        of = stats.mean_interval(gains, confidence=confidence)
        told = "helps" if of.low > 0 else "hurts" if of.high < 0 else "no clear difference"
        if verdict:
            told = verdict(of.mean, of.low, of.high)
        limit = fate(of.mean, of.low, of.high) if fate else of.high
        return told, "ruled out" if limit < claim else "possible"

    return judge


def pilot_then_new(trial, claim):
    trial(5)
    return read((35,))(trial, claim)


@pytest.mark.parametrize(
    ("check", "answer", "word"),
    [
        (checks.baseline_rate, best(RATES), "The report's gain of 1"),
        (checks.baseline_rate, best([0.01, 0.03, 0.1]), "are left"),
        (checks.choose_temperature, best(TEMPERATURES), "rule of thumb"),
        (checks.choose_temperature, best(TWELVE), "edge"),
        (checks.missing_control, control(means), "One step further"),
        (checks.missing_control, paired, "takes away the picture"),
        (checks.stop_or_go_on, patience(5), "in time"),
        (checks.stop_or_go_on, patience(8, 0.5), "in time"),
        (checks.judge_claim, read(), "T = 4 against T = 2 helps, possible"),
        (checks.judge_claim, read([1] * 40), "T = 16 against T = 32 no clear difference, possible"),
        (checks.judge_claim, read((10, 30)), "no clear difference, ruled out"),
        (checks.judge_claim, pilot_then_new, "hurts, ruled out"),
    ],
)
def test_a_right_decision_is_told_what_the_test_images_say(
    check: checks.Decision, answer: Any, word: str, float64_default: None
) -> None:
    verdict = check(answer)
    assert verdict.status == "right", verdict
    assert word in verdict.message
    assert "test images" in verdict.message


def lowest(mean: float, low: float, high: float) -> str:
    return "helps" if mean > 0 else "hurts"


def peeking(trial, claim):
    gains = trial(3)
    while len(gains) < 40 and (seen := stats.mean_interval(gains)).low < 0 < seen.high:
        gains = np.concatenate([gains, trial(1)])
    return read()(lambda n: gains, claim)


def helps_alone(trial, claim):
    verdict, fate = read()(trial, claim)
    return verdict, fate if verdict == "helps" else "ruled out"


def below_ruled_out(trial, claim):
    of = stats.mean_interval(gains := trial(40))
    verdict, _ = read()(lambda n: gains, claim)
    return verdict, "possible" if of.low <= claim <= of.high else "ruled out"


def the_first_dip(trial):
    T, best = 1.0, np.mean(trial(1.0))
    while (accuracy := np.mean(trial(1.2 * T))) > best:
        T, best = 1.2 * T, accuracy
    return T


CHOICES = [
    (lambda trial: 4.0, "without a single trial"),
    (best(TEMPERATURES, min), "lowest mean"),
    (lambda trial: max(fmean(trial(T)) for T in TEMPERATURES), "This is an accuracy"),
    (lambda trial: [fmean(trial(T)) for T in TEMPERATURES], "returned a list"),
    (lambda trial: int(np.argmax([fmean(trial(T)) for T in TEMPERATURES])), "at that place"),
    (lambda trial: (trial(3), 17.5)[1], "nobody knows how good it is. Return"),
    (lambda trial: fmean(T for T in TEMPERATURES if trial(T)), "the mean of those that you tried"),
    (lambda trial: np.log10(best(TEMPERATURES)(trial)), "the logarithm of one that you tried"),
    (best([1, 2, 4]), "edge of what you tried, 1 to 4"),
    (best([8, 16]), "Only three or more"),
    (best([32, 64, 128]), "edge of what you tried, 32 to 128"),
    (best([1, 4, 100, 400]), "too coarse"),
    (the_first_dip, "ended too early, between 2.4"),
    (best([*TWELVE, 48]), "more than 12 trials"),
    (best([0, 1, 4]), "one temperature above 0"),
    (lambda trial: trial([1, 2]), "one temperature above 0, and got a list"),
    (lambda trial: [trial(T) for T in TEMPERATURES] and 4, "your own trial of"),
    (lambda trial: print(trial(4)), "returns nothing"),
]
CONTROLS = [
    (lambda t, y, trial: (t, True), "the teacher itself"),
    (lambda t, y, trial: (t.log_softmax(1), True), "the teacher itself"),
    (lambda t, y, trial: (t[torch.randperm(len(t))], True), "changes two things"),
    (lambda t, y, trial: (5.0 * F.one_hot(y, 10), True), "changes two things"),
    (lambda t, y, trial: (t.softmax(1), True), "the teacher's probabilities"),
    (lambda t, y, trial: (t + torch.randn(t.shape), True), "still tells much"),
    (lambda t, y, trial: (now_and_then(t, y), True), "still tells much"),
    (control(within, limit=-99), "says the same for both teachers"),
    (control(within, limit=0), "large against its own uncertainty"),
    (control(means, limit=1), "large against its own uncertainty"),
    (lambda t, y, trial: (within(t, y), True), "without a trial of the teacher's"),
    (lambda t, y, trial: (trial(t), within(t, y), True)[1:], "the control that you return"),
    (lambda t, y, trial: True, "Return two things"),
    (lambda t, y, trial: (True, within(t, y)), "in this order"),
    (lambda t, y, trial: (means(t, y), "yes"), "Your verdict is a str"),
    (lambda t, y, trial: (means(t, y)[:10], True), "for the same pictures"),
    (lambda t, y, trial: trial(means(t, y)[:10]), "takes finite logits"),
]
STOPS = [
    (patience(1), "have patience"),
    (patience(99), "had still not stopped after 60"),
    (patience(8, key="loss"), "Overfitting went on"),
    (patience(8, shrinks=0), "A collapse went on for"),
    (lambda history: True, "as if True meant to go on"),
    (lambda history: len(history) == 10, "if you stop after 10 epochs, whatever the losses."),
    (lambda history: history[-1]["validation"] > history[-1]["loss"], "lies above the training"),
    (lambda history: history[-1] != min(history, key=lambda h: h["validation"]), "rises once"),
    (lambda history: history[-1]["loss"] < 0.2, "Overfitting went on: "),
    (lambda history: history[-1]["validation"], "returned a value of type float"),
    (lambda history: len(history) == 20 or None, "returned nothing"),
    (lambda history: history[-1]["loss"] > history[-2]["loss"], "an entry before the first"),
]
READINGS = [
    (read(verdict=lowest), "the sign of the mean is the verdict"),
    (read(fate=lambda mean, low, high: mean), "is compared with the mean"),
    (read(fate=lambda mean, low, high: low), "is compared with the lower end"),
    (read((5,)), "take them, too"),
    (read((2,)), "2 pairs"),
    (read((41,)), "40 pairs in all, and you asked for 41"),
    (peeking, "You looked "),
    (helps_alone, "It looks as if only what helps makes the claim possible; without"),
    (read(verdict=lowest, fate=lambda mean, low, high: mean), "if the mean alone decides."),
    (read(fate=lambda mean, low, high: 100 * high), "It looks as if the claim is divided by 100"),
    (below_ruled_out, "a claim that lies below the interval is ruled out, too"),
    (read(confidence=0.999), "It looks as if the interval is wider than one of 95 %"),
    (read(confidence=0.68), "68 %"),
    (read(confidence=0.9), "narrower than one of 95 %"),
    (lambda trial, claim: read()(lambda n: -trial(n), claim), "if the difference has the wrong"),
    (lambda trial, claim: (trial(40), "helps")[1], "Return two texts"),
    (lambda trial, claim: ("helps", "possible"), "judge by 0 pairs"),
    (lambda trial, claim: trial(0.5), "a whole number"),
    (lambda trial, claim: (trial(40), ("hurts", "ruled out"))[1], "Your 40 pairs give"),
]
WRONG = [
    pytest.param(check, answer, words, id=f"{name}: {words}")
    for name, check, rows in (
        ("choice", checks.choose_temperature, CHOICES),
        ("control", checks.missing_control, CONTROLS),
        ("stop", checks.stop_or_go_on, STOPS),
        ("reading", checks.judge_claim, READINGS),
    )
    for answer, words in rows
]


@pytest.mark.parametrize(("check", "answer", "words"), WRONG)
def test_a_wrong_decision_is_told_why(check: checks.Decision, answer: Any, words: str) -> None:
    verdict = check(answer)
    assert verdict.status == "wrong", verdict
    assert words in verdict.message, verdict
    assert len(verdict.message) < 900


DECISIONS = [each for each in vars(checks).values() if isinstance(each, checks.Decision)]


@pytest.mark.parametrize("check", DECISIONS)
def test_an_untouched_stub_trains_nothing(check: checks.Decision, monkeypatch: Any) -> None:
    monkeypatch.setattr(torch.optim.Adam, "step", None)
    assert check(lambda *given: ...).status == "not attempted"
    assert check(None).status == "not attempted"
    assert check(3).status == "wrong"


def test_progress_tells_what_is_solved_and_what_is_open(capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("kdhelpers.checks.check._solved", {})
    checks.soft_targets(lambda logits, temperature: (logits / temperature).softmax(1))
    checks.entropy(lambda p: torch.special.entr(p).sum(1))
    checks.distillation_step(...)
    checks.soft_targets(...)  # once solved remains solved
    checks.progress("01")
    left = "distillation_step, baseline_rate, distillation_loss"
    assert capsys.readouterr().out == f"1 of 4 exercises of lesson 01 solved; open: {left}\n"
    every = [each for each in vars(checks).values() if isinstance(each, checks.Check)]
    monkeypatch.setattr("kdhelpers.checks.check._solved", dict.fromkeys(every, True))
    checks.progress(5)
    assert "4 of 4 exercises of lesson 05 solved, all of them" in capsys.readouterr().out
    with pytest.raises(ValueError, match="lesson 97 has no exercises"):
        checks.progress(97)
