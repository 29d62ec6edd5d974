"""Settings that cannot work are refused by name."""

from typing import Any

import pytest

from kdhelpers.course import settings

RIGHT: dict[str, Any] = {
    "seeds": [0, 1, 2],
    "tuning_seeds": [100],
    "temperature": 4.0,
    "temperatures": [1, 20.0],
    "alpha": 0.0,
    "transfer_size": 100,
    "transfer_sizes": [1, 50, 100],
    "steps": 1,
    "batch_size": 32,
    "teacher_epochs": 6,
    "learning_rate": 1e-3,
    "teacher_learning_rate": 1,
    "alphas": [0, 0.5, 1.0],
    "epochs": 3,
    "stem_epochs": 0,
    "teacher_batch_size": 8,
    "student_width": 0.25,
    "teacher_width": 1,
    "grid_seeds": [0],
    "control_seeds": [0, 1],
    "students": ["small_cnn", "vgg_small"],
    "width": 0.5,
    "teacher_size": 100,
    "few_seeds": [0],
    "guided_layers": ["stage2.5"],
    "variants": ["hint", "relational"],
    "stage1_epochs": 3,
    "stage2_epochs": 3,
    "stage1_learning_rate": 0.03,
    "stage2_learning_rate": 0.03,
    "kd_learning_rate": 0.01,
    "workers": 2,
}


def test_ordinary_settings_pass() -> None:
    settings.check(available=100, **RIGHT)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("seeds", [0], "^seeds needs at least 2 values: an interval over one run does not exist"),
        ("seeds", [], "^seeds needs at least one value"),
        ("tuning_seeds", [], "tuning_seeds needs at least one value"),
        ("tuning_seeds", [3, 3], "tuning_seeds must not repeat a value"),
        ("grid_seeds", [], "grid_seeds needs at least one value"),
        ("control_seeds", [0], "control_seeds needs at least 2 values"),
        ("grid_seeds", [1, 1], "grid_seeds must not repeat a value"),
        ("stem_epochs", -1, "stem_epochs must be a whole number from 0, got -1"),
        ("alphas", [0.5, -0.1], "alphas must lie between 0 and 1"),
        ("student_width", 0, "student_width must be a number greater than 0"),
        ("students", [], "students must be a list of networks, at least one"),
        ("students", "small_cnn", "students must be a list of networks"),
        ("students", ["vgg"], "students must be networks that models.build knows .mnist_cnn"),
        ("seeds", [0, 0], "seeds must not repeat a value"),
        ("seeds", [0, -1], "seeds must be a list of whole numbers from 0"),
        ("seeds", 3, "seeds must be a list"),
        ("seeds", [0, 1.5], "seeds must be a list"),
        ("temperature", 0.0, "temperature must be a number greater than 0, got 0.0"),
        ("temperature", float("nan"), "temperature must be a number greater than 0"),
        ("temperature", True, "temperature must be a number"),
        ("temperatures", [1.0, -2.0], "temperatures must be a number greater than 0"),
        ("temperatures", [], "temperatures must be a list with at least one value"),
        ("temperatures", 4.0, "temperatures must be a list"),
        ("alpha", 1.5, "alpha must lie between 0 and 1, got 1.5"),
        ("alpha", "0.9", "alpha must lie between 0 and 1"),
        ("transfer_size", 101, "from 1 to the 100 training images there are, got 101"),
        ("transfer_sizes", [50, 5000], "from 1 to the 100 training images"),
        ("transfer_sizes", [0], "from 1 to the 100"),
        ("transfer_sizes", 50, "transfer_sizes must be a list"),
        ("transfer_sizes", "50", "transfer_sizes must be a list"),
        ("steps", 0, "steps must be a whole number of at least 1"),
        ("batch_size", 1.5, "batch_size must be a whole number"),
        ("workers", 0, "workers must be a whole number of at least 1, got 0"),
        ("teacher_epochs", True, "teacher_epochs must be a whole number"),
        ("few_seeds", [0, 0], "few_seeds must not repeat a value"),
        ("few_seeds", [-1], "few_seeds must be a list of whole numbers from 0"),
        ("guided_layers", [], "guided_layers must be a list with at least one name"),
        ("guided_layers", [3], "guided_layers must be a list with at least one name"),
        ("guided_layers", "stage2.5", "guided_layers must be a list of names"),
        ("guided_layers", ["head", "head"], "guided_layers must not repeat a name"),
        ("variants", ["hints"], "variants must be among hint, attention, similarity, relational"),
        ("variants", 1, "variants must be a list of names"),
        ("learning_rate", -1e-3, "learning_rate must be a number greater than 0"),
        ("learning_rate", float("inf"), "learning_rate must be a number greater than 0"),
    ],
)
def test_what_cannot_work_is_named(name: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        settings.check(available=100, **(RIGHT | {name: value}))


def test_a_lesson_may_ask_for_one_seed_only() -> None:
    settings.check(available=100, fewest_seeds=1, seeds=[3])
    with pytest.raises(ValueError, match="seeds needs at least one value"):
        settings.check(available=100, fewest_seeds=1, seeds=[])
    with pytest.raises(ValueError, match="seeds needs at least 5 values"):
        settings.check(available=100, fewest_seeds=5, seeds=[0, 1, 2, 3])


def test_a_name_without_a_rule_is_an_error_of_the_caller() -> None:
    with pytest.raises(TypeError, match="no rule for 'seed'"):
        settings.check(available=100, seed=[0, 1])
