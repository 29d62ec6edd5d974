"""Whatever a figure is given, it is drawn, or refused with one sentence that begins with its name.

Jupyter calls the figures: a traceback out of matplotlib tells a learner nothing.
"""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hostile_values import BRIEF, MADE_UP
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from small_data import split

from kdhelpers import plots
from kdhelpers.stats import Interval

RUNS = {50: [0.7, 0.8, 0.75], 200: [0.9, 0.91, 0.93]}
ARMS = {"alone": [0.7, 0.8, 0.75], "distilled": [0.9, 0.91, 0.93]}
LINES = {"a": [1.0, 0.5, 0.2], "b": [2.0, 1.0, 0.5]}
TEMPERATURES = [1.0, 4.0, 20.0]
GENERATOR = torch.Generator().manual_seed(0)
LOGITS, LABELS = torch.randn(30, 3, generator=GENERATOR), torch.arange(30) % 3
MATRIX = [[5, 1, 0], [1, 4, 1], [0, 2, 4]]
CLASSES = ["cat", "dog", "frog"]
SIZES = dict(teacher_size=(14e6, 314e6), student_size=(5e5, 6e6))

KINDS = ("None", "True", "-1", "2**70", "NaN", "text", "long text", "[]", "[NaN]", "nested")
KINDS += ("endless", "{}", "mapping from numbers", "object", "matrix with NaN", "meta")

# Arguments with which each figure is drawn.
FIGURES: dict[str, dict[str, Any]] = {
    "accuracy_against_cost": dict(rows={"a": (1e6, 2.0, 0.9), "b": (1e5, 0.5, 0.8)}, latency="ms"),
    "alpha_temperature_grid": dict(
        means={(0.5, 4.0): 0.3, (0.9, 4.0): Interval(1.0, 0.5, 1.5, 3)}, unit="points"
    ),
    "arms": dict(values=ARMS, teacher=0.95, baseline="alone"),
    "by_layer": dict(values=ARMS, baseline=[0.6, 0.7], xlabel="layer", baseline_name="none"),
    "compression_diagram": dict(
        teacher="VGG16", student="small", **SIZES, teacher_blocks=((8, 8), (16,)),
        student_blocks=((4,),),
    ),
    "confusion_change": dict(before=MATRIX, after=MATRIX, classes=CLASSES, names=("a", "b")),
    "curves": dict(histories={"run": [{"epoch": 1, "loss": 0.3}]}, key="loss", ylabel="loss"),
    "distillation_diagram": {},
    "entropy_curve": dict(temperatures=TEMPERATURES, curves=LINES, classes=10),
    "feature_maps": dict(rows={"conv1": torch.ones(3, 4, 4)}, columns=2, image=None),
    "few_images": dict(alone=RUNS, distilled=RUNS, teacher=0.97),
    "forest": dict(
        differences={"cosine": Interval(1.0, 0.5, 1.5, 3)}, claim=(2.0, 4.0), unit="points"
    ),
    "hint_diagram": {},
    "image_grid": dict(split=split(4), columns=2, rows=1),
    "log_curves": dict(temperatures=TEMPERATURES, curves=LINES, ylabel="norm", level=1.0),
    "log_series": dict(series=LINES, ylabel="norm", xlabel="step", places=[1, 2, 3]),
    "misleading_bars": dict(values={"a": 0.9, "b": 0.8}, title="better"),
    "paired_points": dict(differences=ARMS, unit="points"),
    "pixel_deviation": dict(
        per_image=[[0.2, 0.2, 0.3]] * 4, dataset_std=[0.2, 0.2, 0.3], channels=list("rgb")
    ),
    "power_curve": dict(counts=[2, 4, 8], powers={"1 point": [0.2, 0.5, 0.9]}),
    "reliability": dict(logits={"a": LOGITS}, labels=LABELS, bins=5),
    "soft_target_bars": dict(split=split(4), index=1, targets={"T = 4": [0.5, 0.3, 0.2]}),
    "soft_target_heatmap": dict(targets=[[0.8, 0.1, 0.1]] * 3, classes=CLASSES),
    "stages": dict(stage1=[2.0, 1.0], stage2={"KD": [0.5, 0.6]}, ylabel="accuracy (%)"),
    "temperature_bars": dict(logits=[3.0, 1.0, 0.0], temperatures=TEMPERATURES),
    "temperature_sweep": dict(
        arms={"small": {1.0: [0.8, 0.9], 4.0: [0.9, 0.95]}}, alone={"small": [0.7, 0.8]},
        teacher=0.97,
    ),
    "temperature_trajectories": dict(trajectories=LINES),
    "transfer_curve": dict(alone=RUNS, distilled=RUNS, teacher=0.97),
}  # fmt: skip
each_figure = pytest.mark.parametrize("name", FIGURES)
quick = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)


def problem(make: Callable[..., Any], arguments: dict[str, Any]) -> str:
    """What is wrong with what came of a call; "" if it keeps the rule."""
    try:
        drawn = make(**arguments)
    except ValueError as error:
        told = str(error)
        fine = told.startswith(make.__name__) and "\n" not in told and len(told) < 600
        return "" if fine else f"no sentence: {told!r}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "" if isinstance(drawn, Figure) else f"returned {drawn!r}"


def test_every_figure_is_attacked() -> None:
    functions = {name for name in plots.__all__ if inspect.isfunction(getattr(plots, name))}
    assert functions - {"show"} == FIGURES.keys()


@each_figure
def test_right_arguments_are_drawn(name: str) -> None:
    assert isinstance(getattr(plots, name)(**FIGURES[name]), Figure)


@each_figure
@pytest.mark.filterwarnings("ignore")
def test_one_wrong_argument(name: str) -> None:
    make, found = getattr(plots, name), []
    for argument in FIGURES[name]:
        for told in KINDS:
            if wrong := problem(make, FIGURES[name] | {argument: BRIEF[told]()}):
                found.append(f"{argument}: {told} → {wrong}")
    assert not found, f"{len(found)} answers break the rule:\n" + "\n".join(found)


@each_figure
@quick
@given(data=st.data())
@pytest.mark.filterwarnings("ignore")
def test_several_wrong_arguments(name: str, data: st.DataObject) -> None:
    arguments = dict(FIGURES[name])
    several = st.lists(st.sampled_from(list(arguments)), unique=True) if arguments else st.just([])
    for argument in data.draw(several):
        arguments[argument] = data.draw(MADE_UP, argument)
    assert problem(getattr(plots, name), arguments) == ""


@pytest.mark.parametrize("told", BRIEF)
@pytest.mark.parametrize("argument", ["figure", "alt", "dpi"])
def test_what_is_no_figure_is_not_shown(argument: str, told: str) -> None:
    right = dict(figure=Figure(figsize=(1, 1)), alt="an empty square", dpi=10)
    if (argument, told) in {("alt", "text"), ("alt", "long text"), ("alt", "lines of text")}:
        return
    if (argument, told) == ("alt", "text with NUL"):
        return
    with pytest.raises(ValueError, match=f"^{argument} must "):
        plots.show(**right | {argument: BRIEF[told]()})


def test_what_breaks_the_rule_is_seen() -> None:
    def careless(value: Any) -> int:
        return len(value)

    def short(value: Any) -> None:
        raise ValueError("no.")

    assert problem(careless, {"value": 1}).startswith("TypeError")
    assert problem(careless, {"value": []}) == "returned 0"
    assert problem(short, {"value": 1}) == "no sentence: 'no.'"
