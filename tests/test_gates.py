"""At every gate: whatever is handed over, a call works or raises a `ValueError` of one sentence.

A gate is where a value enters: a loss, a constructor, `load`, `build`, `fit`. Behind it nothing is
checked again. `GATES` has arguments that work; hypothesis puts other values in the place of some.
"""

import inspect
import math
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from small_data import Small, split
from torch import nn

import kdhelpers as kd

LONGEST = 600  # characters of a sentence
LOGITS, OTHERS = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
MAPS = LOGITS.view(4, 1, 3, 1)
PAIR = {"student_logits": LOGITS, "teacher_logits": OTHERS}
FEATURES = {"student_features": MAPS, "teacher_features": MAPS}
LABELS = {"labels": torch.tensor([0, 2, 1, 0])}
RESULTS = {"alone": [0.90, 0.91, 0.93], "other": [0.92, 0.95, 0.94]}


def gate(call: Callable[..., Any], **arguments: Any) -> tuple[Callable[..., Any], dict[str, Any]]:
    return call, arguments


GATES = {
    **{
        name: gate(getattr(kd.losses, name), **PAIR, temperature=2.0)
        for name in ("kd_loss", "soft_cross_entropy", "probability_mse")
    },
    "soft_targets": gate(kd.losses.soft_targets, logits=LOGITS, temperature=2.0),
    "logit_mse": gate(kd.losses.logit_mse, **PAIR),
    "dist_loss": gate(kd.losses.dist_loss, **PAIR, temperature=1.0, beta=1.0, gamma=1.0),
    "distillation_loss": gate(
        kd.losses.distillation_loss, **PAIR, **LABELS, temperature=4.0, alpha=0.5
    ),
    "decoupled_kd_loss": gate(kd.losses.decoupled_kd_loss, **PAIR, **LABELS, alpha=1.0, beta=8.0),
    "hint_loss": gate(kd.losses.hint_loss, **FEATURES),
    "attention": gate(kd.losses.attention_transfer_loss, **FEATURES, form="code"),
    "similarity_loss": gate(kd.losses.similarity_loss, **FEATURES),
    "relational_loss": gate(
        kd.losses.relational_loss, student=MAPS, teacher=MAPS, distance_weight=1, angle_weight=1
    ),
    "standardize_logits": gate(kd.temperature.standardize_logits, logits=LOGITS),
    "ExponentialDecay": gate(kd.temperature.ExponentialDecay, start=5.0, floor=1.0, factor=0.9),
    "Linear": gate(kd.temperature.Linear, start=5.0, end=1.0),
    "Cosine": gate(kd.temperature.Cosine, start=5.0, end=1.0),
    "LearnedTemperature": gate(
        kd.temperature.LearnedTemperature, theta=1.0, low=1.0, width=20.0, ramp=10
    ),
    "Distillation": gate(
        kd.Distillation, teacher=kd.Teacher(Small().eval()), temperature=4.0, alpha=0.9
    ),
    "Teacher": gate(kd.Teacher, model=Small()),
    "Split": gate(
        kd.data.Split, images=torch.zeros(4, 1, 4, 4, dtype=torch.uint8), labels=LABELS["labels"],
        mean=(0.1,), std=(0.2,), classes=("a", "b", "c"),
    ),
    "from_arrays": gate(
        kd.data.from_arrays, images=np.zeros((4, 4, 4), np.uint8), labels=LABELS["labels"],
        classes=("a", "b", "c"), mean=(0.1,), std=(0.2,), like=None,
    ),
    "from_dataset": gate(
        kd.data.from_dataset, dataset=[(np.zeros((4, 4), np.uint8), 0)], size=4,
    ),
    "Views": gate(kd.data.Views, flip=True, shift=1),
    "load": gate(kd.load, name="digits", root=None, image_size=None, validation=None, seed=0),
    "build": gate(
        kd.build, name="mnist_cnn_student", in_channels=1, image_size=28, num_classes=10, seed=0
    ),
    "fit": gate(
        partial(kd.fit, progress=False), student=nn.Sequential(nn.Flatten(), nn.Linear(64, 3)),
        objective=kd.Supervised(), train=split(6), epochs=1, batch_size=4, lr=1e-3,
        seed=0, device="cpu", ema=0.0, precision="fp32",
    ),
    "VGG": gate(
        kd.models.VGG, blocks=[[4], [8]], width=1.0, in_channels=1, image_size=4, num_classes=3,
    ),
    "FitNet": gate(
        kd.models.FitNet, stages=[[4], [8]], hidden=3, kernel_size=3, grid=1, batch_norm=True,
        width=1.0, in_channels=1, image_size=4, num_classes=3,
    ),
    "Recipe": gate(
        kd.Recipe, epochs=1, batch_size=4, lr=1e-3, schedule=None, views=None, device="cpu",
        precision="fp32", ema=0.0, checkpoint_dir="", checkpoint_interval=0.0,
    ),
    "compare": gate(
        kd.stats.compare, baseline="alone", arms=RESULTS, confidence=0.95
    ),
    "mean_interval": gate(kd.stats.mean_interval, values=RESULTS["alone"], confidence=0.95),
    "paired_difference": gate(
        kd.stats.paired_difference, baseline=RESULTS["alone"], treatment=RESULTS["other"]
    ),
}  # fmt: skip

NUMBERS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.integers(min_value=2**63),
    st.integers(max_value=-(2**63)), st.floats(), st.complex_numbers(),
    st.sampled_from([10**400, 1e308, 5e-324, Fraction(1, 3), Decimal("0.5"), np.float32("nan"),
                     np.int64(3)]),
)  # fmt: skip
PLAIN = NUMBERS | st.text() | st.sampled_from([b"ab", "x" * 10_000, "a\0b", Path("nowhere")])
NESTED = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)


@st.composite
def tensors(draw: st.DrawFn) -> Any:
    """Of any kind, shape and place; numbers that count, overflow or are none."""
    dtype = draw(st.sampled_from([
        torch.float16, torch.bfloat16, torch.float32, torch.float64,
        torch.int64, torch.uint8, torch.bool, torch.complex64,
    ]))  # fmt: skip
    shape = draw(st.lists(st.integers(0, 4), max_size=4) | st.sampled_from([[4, 3], [4], []]))
    fill = draw(st.sampled_from([0.0, 1.0, 2.0, -1.0, 1e30, math.nan, math.inf]))
    if not (dtype.is_floating_point or dtype.is_complex):
        fill = min(abs(fill), 2.0) if fill == fill else 0.0
    tensor = torch.full(shape, fill, dtype=dtype if fill != 1e30 or dtype.itemsize > 2 else None)
    return {
        "cpu": tensor,
        "numpy": tensor.float().numpy(),
        "graph": tensor.float().requires_grad_(),
    }[draw(st.sampled_from(["cpu", "cpu", "numpy", "graph"]))]


ANYTHING = (
    NESTED | tensors() | st.sampled_from([object(), nn.Linear, nn.Linear(2, 2, device="meta")])
)


def is_a_sentence(text: str, wrong: dict[str, Any]) -> bool:
    """One line with a full stop that names an argument, by a word of its name, or what was got."""
    words = {word.rstrip("s") for name in wrong for word in name.split("_")}
    named = any(word in text for word in words | {" got ", " but ", "unknown ", "arm", "figure"})
    return named and len(text) <= LONGEST and "\n" not in text and text.endswith(".")


@pytest.mark.parametrize("name", GATES)
@pytest.mark.filterwarnings("ignore")
@settings(
    max_examples=60,
    deadline=timedelta(seconds=5),
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(data=st.data())
def test_a_gate_lets_pass_or_tells_why_not(name: str, data: st.DataObject) -> None:
    call, arguments = GATES[name]
    chosen = data.draw(
        st.lists(st.sampled_from(list(arguments)), unique=True, min_size=1, max_size=2)
    )
    wrong = {each: data.draw(ANYTHING, each) for each in chosen}
    told = ""
    try:
        result = call(**arguments | wrong)
    except ValueError as error:
        told = str(error) or "nothing"
    else:
        if isinstance(result, torch.Tensor) and not result.is_meta:
            assert result.isfinite().all()  # NaN or infinity is no answer
    assert not told or is_a_sentence(told, wrong)


@pytest.mark.parametrize("name", GATES)
def test_a_gate_is_open_to_what_is_right(name: str) -> None:
    call, arguments = GATES[name]
    settings = inspect.signature(kd.Recipe).parameters  # `fit` takes these, too
    assert set(arguments) <= {*inspect.signature(call).parameters, *settings}
    call(**arguments)
