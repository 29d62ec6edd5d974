"""The checks of lesson 05 against right answers in several spellings, and against mistakes.

Every wrong answer here is written out by hand; none comes from the table the checks use.
"""

import functools
import itertools
import math
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from test_checks import ODD_ANSWERS, STUBS, assert_right, assert_wrong, table

from kdhelpers import checks
from kdhelpers.checks import exercise, running
from kdhelpers.checks.misleading_plot import FALSE_ALARMS, HINTS
from kdhelpers.stats.intervals import paired_difference
from kdhelpers.temperature import ExponentialDecay

Answer = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("global_random_state_is_left_alone")

CHECKS = {
    "exponential_decay": (checks.exponential_decay, checks.exponential_decay),
    "paired_interval": (checks.paired_interval, checks.paired_interval),
    "misleading_plot": (checks.misleading_plot, checks.misleading_plot),
}
EVERY_CHECK = pytest.mark.parametrize("check", [c for c, _ in CHECKS.values()], ids=CHECKS)
EVERY_EXERCISE = table(**{name: e for name, (_, e) in CHECKS.items()})


# --- Exponential decay ----------------------------------------------------------------------------


def decay(epoch: int, start: float, floor: float, factor: float) -> Any:
    return max(start * factor**epoch, floor)


def decay_by_loop(epoch: int, start: float, floor: float, factor: float) -> Any:
    temperature = start
    for _ in range(epoch):
        temperature = max(temperature * factor, floor)
    return temperature


def decay_by_if(epoch: int, start: float, floor: float, factor: float) -> Any:
    temperature = start * math.exp(epoch * math.log(factor))
    if temperature < floor:
        return floor
    return temperature


@functools.cache
def decay_recursively(epoch: int, start: float, floor: float, factor: float) -> Any:
    if epoch == 0:
        return start
    return max(decay_recursively(epoch - 1, start, floor, factor) * factor, floor)


RIGHT_DECAYS = dict(
    usual=decay,
    loop=decay_by_loop,
    branches=decay_by_if,
    recursive=decay_recursively,
    package=lambda e, start, floor, factor: ExponentialDecay(
        start=start, floor=floor, factor=factor
    )(e, e + 1),
    torch=lambda e, s, f, k: torch.tensor(s * k**e).clamp(min=f),
    numpy=lambda e, s, f, k: np.maximum(s * np.power(k, e), f),
    vector=lambda e, s, f, k: np.array([max(s * k**e, f)]),
    keywords=lambda epoch, *, start, floor, factor: decay(epoch, start, floor, factor),
)


@table(**RIGHT_DECAYS)
def test_decay_right(row: Answer) -> None:
    assert_right(checks.exponential_decay(row))


def decay_without_else(epoch: int, start: float, floor: float, factor: float) -> Any:
    if start * factor**epoch > floor:
        return start * factor**epoch
    return None


@table(
    early=(lambda e, s, f, k: max(s * k ** (e + 1), f), "Epoch 0 has decayed already"),
    early_loop=(lambda e, s, f, k: decay_by_loop(e + 1, s, f, k), "Epoch 0 has decayed already"),
    from_1=(lambda e, s, f, k: max(s * k ** (e - 1), f), "as if epochs counted from 1"),
    range_of_1=(lambda e, s, f, k: decay_by_loop(max(e - 1, 0), s, f, k), "0 and 1 are the same"),
    constant=(lambda e, s, f, k: s, "not used"),
    once=(lambda e, s, f, k: max(s * k, f), "decays once"),
    minimum=(lambda e, s, f, k: min(s * k**e, f), "`min` takes the smaller"),
    no_floor=(lambda e, s, f, k: s * k**e, "floor is missing"),
    early_no_floor=(lambda e, s, f, k: s * k ** (e + 1), "2 things"),
    early_minimum=(lambda e, s, f, k: min(s * k ** (e + 1), f), "2 things"),
    added=(lambda e, s, f, k: s * k**e + f, "floor is added"),
    only_floor=(lambda e, s, f, k: f, "floor in every epoch"),
    towards=(lambda e, s, f, k: f + (s - f) * k**e, "approaches the floor"),
    of_factor=(lambda e, s, f, k: s * max(k**e, f), "bounds `factor**epoch`"),
    product=(lambda e, s, f, k: max(s * k * e, f), "`factor * epoch`"),
    linear=(lambda e, s, f, k: max(s - s * (1 - k) * e, f), "the same amount"),
    linear_rate=(lambda e, s, f, k: max(s - (1 - k) * e, f), "loses 1 - factor"),
    linear_factor=(lambda e, s, f, k: max(s - k * e, f), "loses `factor`"),
    complement=(lambda e, s, f, k: max(s * (1 - k) ** e, f), "what stays"),
    grows=(lambda e, s, f, k: max(s / k**e, f), "T grows"),
    rate=(lambda e, s, f, k: max(s * math.exp(-k * e), f), "for a rate"),
    rate_complement=(lambda e, s, f, k: max(s * math.exp(-(1 - k) * e), f), "close for a factor"),
    brackets=(lambda e, s, f, k: max((s * k) ** e, f), "covers start as well"),
    turned=(lambda e, s, f, k: max(s * e**k, f), "Base and exponent"),
    no_start=(lambda e, s, f, k: max(k**e, f), "`start` is missing"),
    fixed=(lambda e, s, f, k: max(s * 0.95**e, f), "always 0.95"),
    fixed_floor=(lambda e, s, f, k: max(s * k**e, 1.0), "always 1."),
    rounded=(lambda e, s, f, k: round(decay(e, s, f, k)), "round T"),
    cut=(lambda e, s, f, k: int(decay(e, s, f, k)), "cut T down"),
    other=(lambda e, s, f, k: decay(e, s, f, k) + 0.5, "epoch = [0, 1, 3, 10]"),
    without_else=(decay_without_else, "returns nothing"),
    several=(lambda e, s, f, k: [s, f], "returned a list"),
    array=(lambda e, s, f, k: np.array([s, f]), "2 numbers"),
    nan=(lambda e, s, f, k: math.nan, "numbers differ"),
    caret=(lambda e, s, f, k: max(s * k ^ e, f), "The power is `**`"),
)
def test_decay_wrong(row: tuple[Answer, str]) -> None:
    answer, words = row
    assert_wrong(checks.exponential_decay(answer), words)


class Remembering:
    """T of the last call times the factor, whatever the epoch; a new run begins at epoch 0."""

    def __init__(self, *, step_first: bool) -> None:
        self.step_first = step_first
        self.temperature = 8.0

    def __call__(self, epoch: int, start: float, floor: float, factor: float) -> float:
        before = self.temperature
        self.temperature = max(self.temperature * factor, floor)
        return self.temperature if self.step_first else before


def restarting() -> Answer:
    """Right as long as the epochs come in order."""
    now = [0.0]

    def answer(epoch: int, start: float, floor: float, factor: float) -> float:
        now[0] = start if epoch == 0 else max(now[0] * factor, floor)
        return now[0]

    return answer


def test_a_schedule_that_remembers_its_calls_is_wrong() -> None:
    for answer in (Remembering(step_first=False), Remembering(step_first=True), restarting()):
        assert_wrong(
            checks.exponential_decay(answer), "a resumed run would get another T", "`epoch` alone"
        )


def test_a_schedule_that_steps_before_it_is_read_is_told_so_too() -> None:
    words = "steps before it is read"
    assert words in checks.exponential_decay(Remembering(step_first=True)).message
    assert words not in checks.exponential_decay(Remembering(step_first=False)).message


# --- The paired interval --------------------------------------------------------------------------


def interval(d: Any, quantile: float | None = None, error: float | None = None) -> Any:
    n, mean = len(d), np.mean(d)
    error = np.std(d, ddof=1) / n**0.5 if error is None else error
    reach = (stats.t.ppf(0.975, n - 1) if quantile is None else quantile) * error
    return mean, mean - reach, mean + reach


def interval_of(**changes: Any) -> Answer:
    """`interval` of the differences, with functions of their number or of themselves."""
    return lambda b, t: interval(t - b, **{k: f(t - b) for k, f in changes.items()})


def interval_by_lists(baseline: Any, treatment: Any) -> Any:
    d = [y - x for x, y in zip(baseline, treatment, strict=True)]
    mean, error = statistics.mean(d), statistics.stdev(d) / math.sqrt(len(d))
    low, high = stats.t.interval(0.95, len(d) - 1, mean, error)
    return [mean, low, high]


def interval_by_test(baseline: Any, treatment: Any) -> Any:
    low, high = stats.ttest_rel(treatment, baseline).confidence_interval()
    return (low + high) / 2, low, high


def interval_in_torch(baseline: Any, treatment: Any) -> Any:
    d = torch.tensor(treatment) - torch.tensor(baseline)
    reach = stats.t.ppf(0.975, len(d) - 1) * d.std() / len(d) ** 0.5
    return torch.stack([d.mean(), d.mean() - reach, d.mean() + reach])


RIGHT_INTERVALS = dict(
    numpy=lambda b, t: interval(t - b),
    lists=interval_by_lists,
    test=interval_by_test,
    torch=interval_in_torch,
    package=paired_difference,
    float32=lambda b, t: interval(t.astype(np.float32) - b.astype(np.float32)),
    array=lambda b, t: np.array(interval(t - b)),
    root_of_n_minus_1=interval_of(error=lambda d: d.std() / (len(d) - 1) ** 0.5),
)


@table(**RIGHT_INTERVALS)
def test_interval_right(row: Answer) -> None:
    assert_right(checks.paired_interval(row))


def unrelated(equal_var: bool) -> Answer:
    def answer(baseline: Any, treatment: Any) -> Any:
        result = stats.ttest_ind(treatment, baseline, equal_var=equal_var)
        return treatment.mean() - baseline.mean(), *result.confidence_interval(0.95)

    return answer


def unrelated_by_hand(baseline: Any, treatment: Any) -> Any:
    n = len(baseline)
    error = math.sqrt(baseline.var(ddof=1) / n + treatment.var(ddof=1) / n)
    return interval(treatment - baseline, error=error)


def unrelated_and_normal(baseline: Any, treatment: Any) -> Any:
    n = len(baseline)
    error = math.sqrt((baseline.var(ddof=1) + treatment.var(ddof=1)) / n)
    return interval(treatment - baseline, 1.96, error)


def two_intervals(baseline: Any, treatment: Any) -> Any:
    m, low, high = interval(baseline)
    m2, low2, high2 = interval(treatment)
    return m2 - m, low2 - high, high2 - low


def margin(d: Any) -> Any:
    return stats.t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / len(d) ** 0.5


def in_place(baseline: Any, treatment: Any) -> Any:
    treatment -= baseline
    return interval(treatment)


@table(
    sign=(lambda b, t: interval(b - t), "sign is turned round"),
    sign_and_normal=(lambda b, t: interval(b - t, 1.96), "2 things"),
    relative=(lambda b, t: interval((t - b) / b), "relative"),
    treatment=(lambda b, t: interval(t), "baseline is not used"),
    pooled=(unrelated(True), "as unrelated"),
    welch=(unrelated(False), "as unrelated"),
    by_hand=(unrelated_by_hand, "as unrelated"),
    unrelated_and_normal=(unrelated_and_normal, "2 things"),
    two_intervals=(two_intervals, "add up the margins"),
    own=(
        lambda b, t: interval(t - b, error=t.std(ddof=1) / len(t) ** 0.5),
        "treatment's own",
    ),
    variance=(interval_of(error=lambda d: d.var(ddof=1) / len(d) ** 0.5), "the variance"),
    median=(
        lambda b, t: (
            np.median(t - b),
            np.median(t - b) - margin(t - b),
            np.median(t - b) + margin(t - b),
        ),
        "median",
    ),
    normal=(interval_of(quantile=lambda d: 1.96), "normal law's 1.96"),
    normal_of_scipy=(interval_of(quantile=lambda d: stats.norm.ppf(0.975)), "normal law's 1.96"),
    two=(interval_of(quantile=lambda d: 2), "rule of thumb"),
    error=(interval_of(quantile=lambda d: 1), "one standard error"),
    one_sided=(interval_of(quantile=lambda d: stats.t.ppf(0.95, len(d) - 1)), "90 % interval"),
    wide=(interval_of(quantile=lambda d: stats.t.ppf(0.995, len(d) - 1)), "99 % interval"),
    coverage=(
        lambda b, t: (
            np.mean(t - b),
            *stats.t.interval(0.975, len(b) - 1, np.mean(t - b), stats.sem(t - b)),
        ),
        "wants the coverage",
    ),
    table_of_10=(interval_of(quantile=lambda d: 2.262), "always that of 10 seeds"),
    table_of_5=(interval_of(quantile=lambda d: 2.776), "always that of 5 seeds"),
    n=(interval_of(quantile=lambda d: stats.t.ppf(0.975, len(d))), "n degrees of freedom"),
    two_n=(
        interval_of(quantile=lambda d: stats.t.ppf(0.975, 2 * len(d) - 2)),
        "2n - 2 degrees",
    ),
    ddof=(interval_of(error=lambda d: d.std() / len(d) ** 0.5), "`std(ddof=1)`"),
    ddof_and_normal=(
        interval_of(error=lambda d: d.std() / len(d) ** 0.5, quantile=lambda d: 1.96),
        "2 things",
    ),
    no_root=(interval_of(error=lambda d: d.std(ddof=1)), "root of n is missing"),
    no_root_ddof=(interval_of(error=lambda d: d.std()), "2 things"),
    three=(interval_of(error=lambda d: d.std(), quantile=lambda d: 1.96), "3 things"),
    by_n=(interval_of(error=lambda d: d.std(ddof=1) / len(d)), "falls with the root"),
    n_minus_1=(
        interval_of(error=lambda d: d.std(ddof=1) / (len(d) - 1) ** 0.5),
        "root of n - 1",
    ),
    points=(lambda b, t: interval(100 * (t - b)), "points of accuracy"),
    margin=(lambda b, t: (np.mean(t - b), margin(t - b)), "return the margin"),
    around_0=(lambda b, t: (np.mean(t - b), -margin(t - b), margin(t - b)), "relative to the mean"),
    no_mean=(lambda b, t: interval(t - b)[1:], "mean is missing"),
    middle=(lambda b, t: [interval(t - b)[i] for i in (1, 0, 2)], "another order"),
    last=(lambda b, t: [interval(t - b)[i] for i in (1, 2, 0)], "another order"),
    swapped=(lambda b, t: [interval(t - b)[i] for i in (0, 2, 1)], "bounds are swapped"),
    negative=(
        interval_of(quantile=lambda d: stats.t.ppf(0.025, len(d) - 1)),
        "bounds are swapped",
    ),
    in_place=(in_place, "in place"),
    nested=(lambda b, t: (0.1, (0.1, 0.2)), "`return mean, low, high`. One of yours"),
    texts=(lambda b, t: ("a", "b", "c"), "no number"),
    one=(lambda b, t: np.mean(t - b), "mean alone"),
    four=(lambda b, t: (*interval(t - b), 0.95), "the shape [3]; yours has the shape [4]"),
    unknown=(
        lambda b, t: interval(t - b, 3.3),
        "baseline = [0.951, 0.962",
    ),
)
def test_interval_wrong(row: tuple[Answer, str]) -> None:
    answer, words = row
    assert_wrong(checks.paired_interval(answer), words)


# --- The misleading figure ------------------------------------------------------------------------


@table(
    text=lambda: "abdf",
    capitals=lambda: "FDBA",
    separated=lambda: "a, b, (d) and f.",
    a_list=lambda: ["f", "a", "d", "B"],
    a_set=lambda: {"a", "b", "d", "f"},
    a_tuple=lambda: ("ab", "df"),
    generator=lambda: (letter for letter in "abdf"),
    endless=lambda: itertools.cycle("abdf"),
    array=lambda: np.array(["a", "b", "d", "f"]),
    mapping=lambda: {letter: letter in "abdf" for letter in "abcdefg"},
    keys=lambda: dict.fromkeys("abdf", "because").keys(),
    twice=lambda: "aabbddff",
)
def test_plot_right(row: Answer) -> None:
    assert_right(checks.misleading_plot(row))


@table(
    no_axis=("bdf", "numbers beside the bars"),
    no_intervals=("adf", "another seed"),
    no_tries=("abf", "Count the tries"),
    no_test=("abd", "on which images"),
    colours=("abcdf", "(c) is no flaw"),
    percent=("abdef", "(e) is no flaw"),
    size=("abdfg", "(g) is no flaw"),
    unknown=("abdfh", "'h'"),
    words=("axis", "'i'"),
    number=(3, "of type int"),
    numbers=([1, 2], "of type list"),
)
def test_plot_wrong(row: tuple[Any, str]) -> None:
    answer, words = row
    assert_wrong(checks.misleading_plot(lambda: answer), words)


def test_a_function_that_returns_nothing_after_some_work_is_wrong() -> None:
    def answer() -> None:
        set("abdf")

    assert_wrong(checks.misleading_plot(answer), "returned nothing")


@table(empty="", dots="...", a_list=[], blanks=[" ", ""])
def test_no_letter_is_not_attempted_yet(row: Any) -> None:
    assert checks.misleading_plot(lambda: row).status == "not attempted"


def test_one_hint_at_a_time_and_never_a_letter_of_a_flaw() -> None:
    for size in range(1, 8):
        for letters in itertools.combinations("abcdefg", size):
            message = checks.misleading_plot(lambda chosen=letters: chosen).message
            missing = [flaw for flaw in HINTS if flaw not in letters]
            assert [hint for hint in HINTS.values() if hint in message] == [
                HINTS[flaw] for flaw in missing[:1]
            ]
            false = [text for letter, text in FALSE_ALARMS.items() if letter in letters]
            assert [text for text in FALSE_ALARMS.values() if text in message] == false
            assert not any(f"({flaw})" in message for flaw in HINTS)


# --- All of them ----------------------------------------------------------------------------------


def test_right_with_a_float64_default(float64_default: None) -> None:
    for answer in RIGHT_DECAYS.values():
        assert_right(checks.exponential_decay(answer))
    for answer in RIGHT_INTERVALS.values():
        assert_right(checks.paired_interval(answer))


@EVERY_CHECK
@pytest.mark.parametrize("stub", STUBS)
def test_stubs_are_not_attempted_yet(check: Answer, stub: Any) -> None:
    assert check(stub).status == "not attempted"


@EVERY_CHECK
@table(**ODD_ANSWERS)
def test_no_answer_makes_a_check_raise(check: Answer, row: Any) -> None:
    verdict = check(row)
    assert verdict.status == "wrong"
    assert 10 < len(verdict.message) < 1500
    assert torch.is_grad_enabled()


@EVERY_EXERCISE
def test_reference_and_right_decisions_agree(row: exercise.Exercise) -> None:
    assert row(row.right).status == "right"
    assert row(row.made_of()).status == "right"


@EVERY_EXERCISE
def test_every_mistake_is_wrong_and_gets_its_own_sentence(row: exercise.Exercise) -> None:
    for known in row.known:
        verdict = row(row.made_of(**known.changes))
        assert_wrong(verdict, known.sentence)
        assert "things to repair" not in verdict.message


@EVERY_EXERCISE
def test_cases_are_the_same_at_every_call(row: exercise.Exercise) -> None:
    for case in row.cases:
        with running.sandbox():
            first, second = case.inputs(), case.inputs()
        for a, b in zip(first.values(), second.values(), strict=True):
            assert np.array_equal(a, b)


@EVERY_EXERCISE
def test_sentences_are_short_and_speak_plainly(row: exercise.Exercise) -> None:
    sentences = [m.sentence for m in row.known] + list(row.symptoms.values()) + [row.praise]
    for sentence in sentences:
        assert sentence.endswith((".", "`.", "?"))
        assert sentence.count("`") % 2 == 0
        assert len(sentence) < 330
