"""What an adversary hands over, and the rule that every answer to it has to keep.

A call either works, with finite numbers in its result, or it raises an error that its docstring
names: one sentence, raised by a `raise` of ours. An exception that some line of ours merely let
happen (`len(None)`, a matrix product inside PyTorch) is told by its traceback: its last line is no
`raise` statement of the package.
"""

import ast
import dataclasses
import functools
import itertools
import math
import traceback
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

import kdhelpers

PACKAGE = Path(kdhelpers.__file__).parent
LONGEST = 600  # characters of a sentence

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


def instead_of(value: Any, *, slow: bool) -> dict[str, Maker]:
    """What to replace a valid value by: some of every kind, and all of its own."""
    if isinstance(value, Tensor):
        return BRIEF | alike(value) | ({} if slow else TENSORS)
    match value:
        case None | int() | float():
            own = NUMBERS
        case str() | Path():
            own = TEXTS
        case list() | tuple() | dict():
            own = COLLECTIONS
        case _:
            own = OBJECTS
    return BRIEF if slow else BRIEF | own


def _anything() -> st.SearchStrategy[Any]:
    """Values that hypothesis makes up; whole numbers are small or beyond everything."""
    numbers = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 3),
        st.integers(min_value=2**63),
        st.integers(max_value=-(2**63)),
        st.floats(),
        st.complex_numbers(),
        st.decimals(allow_nan=False),
    )
    plain = st.one_of(numbers, st.text(), st.binary())
    nested = st.recursive(
        plain,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain, inner, max_size=3),
        max_leaves=5,
    )
    return nested | st.builds(
        _made_up,
        st.sampled_from(
            [
                torch.float16,
                torch.float32,
                torch.float64,
                torch.int64,
                torch.uint8,
                torch.bool,
                torch.complex64,
            ]
        ),
        st.lists(st.integers(0, 4), max_size=4),
        st.sampled_from([0.0, 1.0, -1.0, 1e30, math.nan, math.inf]),
        st.sampled_from(["cpu", "meta", "numpy"]),
    )


def _made_up(dtype: torch.dtype, shape: list[int], fill: float, where: str) -> Any:
    if dtype in (torch.float16, torch.int64, torch.uint8, torch.bool) and not abs(fill) <= 1:
        fill = 1.0
    if dtype == torch.uint8:
        fill = abs(fill)
    tensor = torch.full(shape, fill, dtype=dtype, device="meta" if where == "meta" else "cpu")
    return tensor.numpy() if where == "numpy" else tensor


MADE_UP = _anything()


def alike(tensor: Tensor) -> dict[str, Maker]:
    """Tensors that differ from a valid one in one respect."""
    if tensor.dim() == 0:
        return {}
    made: dict[str, Maker] = {
        "on meta": lambda: tensor.to("meta"),
        "one sample more": lambda: torch.cat([tensor, tensor[:1]]),
        "no sample": lambda: tensor[:0],
        "a dimension more": lambda: tensor.unsqueeze(-1),
        "the last dimension less": lambda: tensor.select(-1, 0),
        "the last place less": lambda: tensor[..., :-1],
        "transposed": lambda: tensor.transpose(0, -1),
    }
    for dtype in (torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.bool):
        made[f"as {dtype}"] = lambda dtype=dtype: tensor.to(dtype)
    for value in (math.nan, math.inf, -math.inf, 3e38, -3e38, 1e30, -1, 100, -(2**62), 2**62):
        made[f"with {value}"] = lambda value=value: _with(tensor, value)
    return made


def _with(tensor: Tensor, value: float) -> Tensor:
    """One of the numbers replaced, as far as the type can hold the new one."""
    if not tensor.is_floating_point():
        limits = torch.iinfo(tensor.dtype)
        value = min(max(int(value) if math.isfinite(value) else -1, limits.min), limits.max)
    changed = tensor.clone()
    changed.view(-1)[tensor.numel() // 2] = value
    return changed


def check(
    call: Callable[..., Any], arguments: Mapping[str, Any], errors: tuple[type[Exception], ...]
) -> str:
    """Call, and return what is wrong with what came of it; "" if it keeps the rule."""
    try:
        result = call(**arguments)
    except Exception as error:
        return _about_error(error, errors)
    return "" if finite(result) else f"silently returned {_short(result)}"


def _about_error(error: Exception, errors: tuple[type[Exception], ...]) -> str:
    try:
        message = str(error)
    except ValueError:  # an integer of thousands of digits inside
        message = "<no text>"
    told = f"{type(error).__name__}: {_short(message, repr)}"
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}:{place.lineno}"
    if not isinstance(error, errors):
        return f"undocumented {told} at {where}"
    if isinstance(error, OSError):  # the system's own words
        return ""
    if not raised_by_the_package(place):
        return f"let happen {told} at {where}"
    if not message or "\n" in message or len(message) > LONGEST:
        return f"no sentence ({len(message)} characters): {told} at {where}"
    return ""


def raised_by_the_package(place: traceback.FrameSummary) -> bool:
    return PACKAGE in Path(place.filename).parents and place.lineno in _raises(place.filename)


@functools.cache
def _raises(file: str) -> set[int]:
    """The lines of a file that belong to a `raise` statement."""
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc]
    return {
        line for node in nodes for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }


def finite(value: Any) -> bool:
    """Whether no number in a result is NaN or infinite."""
    match value:
        case Tensor():
            if value.is_meta or not value.is_floating_point():
                return True
            return bool(value.detach().to_dense().isfinite().all())
        case np.ndarray():
            return value.dtype.kind not in "fc" or bool(np.isfinite(value).all())
        case bool() | int() | str() | bytes() | None:
            return True
        case float() | np.floating():
            return math.isfinite(value)
        case Mapping():
            return all(map(finite, value.values()))
        case list() | tuple() | set():
            return all(map(finite, value))
        case nn.Module():
            return all(map(finite, value.state_dict().values()))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return all(finite(getattr(value, each.name)) for each in dataclasses.fields(value))
    return True


def _short(value: Any, told: Callable[[Any], str] = str) -> str:
    return " ".join(told(value).split())[:160]
