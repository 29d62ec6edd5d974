"""What an adversary hands over: numbers, texts, collections, objects, tensors of every kind."""

import itertools
import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Maker = Callable[[], Any]


def matrix(value: float | None = None, **options: Any) -> Tensor:
    """A tensor [3, 4] of small numbers, the one in the middle replaced if asked."""
    numbers = torch.arange(12.0).reshape(3, 4) / 7
    if value is not None:
        numbers[1, 2] = value
    return numbers.to(**options)


NUMBERS: dict[str, Maker] = {
    "None": lambda: None,
    "True": lambda: True,
    "0": lambda: 0,
    "-1": lambda: -1,
    "1.5": lambda: 1.5,
    "2**40": lambda: 2**40,
    "2**70": lambda: 2**70,
    "10**400": lambda: 10**400,
    "-10**400": lambda: -(10**400),
    "10**5000": lambda: 10**5000,
    "NaN": lambda: math.nan,
    "inf": lambda: math.inf,
    "-inf": lambda: -math.inf,
    "1e308": lambda: 1e308,
    "-1e308": lambda: -1e308,
    "5e-324": lambda: 5e-324,
    "complex": lambda: 1 + 2j,
    "fraction": lambda: Fraction(1, 3),
    "decimal": lambda: Decimal("0.5"),
    "NumPy's NaN": lambda: np.float32("nan"),
    "NumPy's integer": lambda: np.int64(3),
    "0-d tensor": lambda: torch.tensor(0.5),
    "0-d tensor NaN": lambda: torch.tensor(math.nan),
    "0-d meta tensor": lambda: torch.empty((), device="meta"),
}
TEXTS: dict[str, Maker] = {
    "no text": lambda: "",
    "nobody's home": lambda: "~nobody/at all",
    "text": lambda: "text",
    "long text": lambda: "x" * 10_000,
    "text with NUL": lambda: "a\0b",
    "lines of text": lambda: "a\nb",
    "half a letter": lambda: "\udcff",
    "bytes": lambda: b"ab",
    "path": lambda: Path("nowhere") / "at all",
}
COLLECTIONS: dict[str, Maker] = {
    "[]": lambda: [],
    "[1.5]": lambda: [1.5],
    "[NaN]": lambda: [math.nan, math.nan],
    "[1e308]": lambda: [1e308, -1e308, 1e308],
    "texts": lambda: ["a", "b"],
    "nested": lambda: [[1, [2]], [3]],
    "[None]": lambda: [None, None],
    "long list": lambda: list(range(10_000)),
    "endless": itertools.count,
    "{}": lambda: {},
    "mapping": lambda: {"a": 1},
    "mapping from numbers": lambda: {1: [0.5, 0.7], 2: None},
    "array": lambda: np.ones((2, 2)),
    "array of objects": lambda: np.array([None, "a"], dtype=object),
}
OBJECTS: dict[str, Maker] = {
    "object": object,
    "class": lambda: nn.Linear,
    "function": lambda: len,
    "function of nothing": lambda: lambda: None,
    "network": lambda: nn.Linear(2, 2),
    "meta network": lambda: nn.Linear(2, 2, device="meta"),
}
TENSORS: dict[str, Maker] = {
    "matrix": matrix,
    "matrix with NaN": lambda: matrix(math.nan),
    "matrix with inf": lambda: matrix(-math.inf),
    "matrix with 3e38": lambda: matrix(3e38),
    "matrix of 1e30": lambda: matrix() * 1e30,
    "float16": lambda: matrix(dtype=torch.float16),
    "float64": lambda: matrix(dtype=torch.float64),
    "integers": lambda: matrix(dtype=torch.int64),
    "bools": lambda: matrix(dtype=torch.bool),
    "complex numbers": lambda: matrix(dtype=torch.complex64),
    "meta": lambda: matrix(device="meta"),
    "meta integers": lambda: torch.zeros(3, dtype=torch.int64, device="meta"),
    "sparse": lambda: matrix().to_sparse(),
    "no rows": lambda: torch.ones(0, 4),
    "no columns": lambda: torch.ones(3, 0),
    "row": lambda: torch.ones(4),
    "maps": lambda: torch.ones(3, 1, 4, 4),
    "bytes of a picture": lambda: torch.ones(3, 1, 4, 4, dtype=torch.uint8),
    "labels": lambda: torch.tensor([0, -1, 2**62]),
    "part of a graph": lambda: matrix().requires_grad_(),
}
ANYTHING = NUMBERS | TEXTS | COLLECTIONS | OBJECTS | TENSORS

BRIEF = {  # some of every kind
    name: ANYTHING[name]
    for name in (
        *("None", "True", "0", "-1", "1.5", "2**70", "10**5000", "NaN", "-inf", "0-d meta tensor"),
        *("text", "long text", "text with NUL", "lines of text", "path"),
        *("[]", "[NaN]", "nested", "[None]", "endless", "{}", "mapping from numbers", "array"),
        *("object", "class", "function of nothing", "network", "meta network"),
        *("matrix with NaN", "integers", "meta", "sparse", "no rows", "bytes of a picture"),
    )
}
