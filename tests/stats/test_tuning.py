"""The setting of each arm, chosen by the mean of its runs; as many trials for every arm."""

from typing import Any

import pytest

from kdhelpers.stats import best_settings
from kdhelpers.stats.tables import trials_table


def runs(*accuracies: float, key: str = "validation") -> list[dict[str, Any]]:
    return [{key: accuracy, "seed": seed} for seed, accuracy in enumerate(accuracies)]


RATES = {
    ("alone", 0.003): runs(0.5, 0.9),
    ("alone", 0.01): runs(0.75, 0.75),
    ("distilled", 0.003): runs(0.8, 0.8),
    ("distilled", 0.01): [],  # diverged
}


def test_each_arm_takes_the_setting_with_the_best_mean_not_the_best_run() -> None:
    assert best_settings(RATES, "validation") == {"alone": 0.01, "distilled": 0.003}
    tied = {("a", 2): runs(0.5), ("a", 1): runs(0.5)}
    assert best_settings(tied, "validation") == {"a": 2}
    assert best_settings({}) == {}


def test_of_an_error_the_least_is_best() -> None:
    errors = {("a", T): runs(error, key="nll") for T, error in ((1, 0.9), (4, 0.2), (9, 0.5))}
    assert best_settings(errors, "nll") == {"a": 4}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({("alone", 0.1): runs(0.5)}, "same number of trials, not {'alone': 3, 'distilled': 2}"),
        ({("distilled", 0.003): []}, "all trials of 'distilled' diverged; try smaller settings"),
        ({"teacher": runs(0.5)}, "named by its arm and its setting, not 'teacher'"),
        ({("alone", 0.01): runs(0.5, key="loss")}, r"arm \('alone', 0.01\): .* no figure 'valid"),
    ],
)
def test_what_chooses_nothing_is_one_sentence(change: dict[Any, Any], message: str) -> None:
    for choose in (best_settings, lambda trials, key: trials_table(trials, key=key)):
        with pytest.raises(ValueError, match=message):
            choose(RATES | change, "validation")


def test_the_table_shows_every_trial_and_the_choice() -> None:
    table = trials_table(RATES, key="validation")
    assert table.headers == ["validation accuracy, %", "0.003", "0.01", "chosen"]
    assert table.rows == [
        ["alone", "70.00", "75.00", "0.01"],
        ["distilled", "80.00", "diverges", "0.003"],
    ]
    assert trials_table({}).rows == []


def test_arms_with_settings_of_their_own_show_them_beside_the_means() -> None:
    own = {("a", 5.0): runs(0.5), ("a", 15.0): runs(0.6)}
    own |= {(("b", "c"), 2.0): runs(0.5), (("b", "c"), 4.0): runs(0.4)}
    table = trials_table(own, key="validation")
    assert table.headers == ["validation accuracy, %", "trial 1", "trial 2", "chosen"]
    assert table.rows == [
        ["a", "5: 50.00", "15: 60.00", "15"],
        ["b, c", "2: 50.00", "4: 40.00", "2"],
    ]
