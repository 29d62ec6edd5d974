"""What can happen to any right result, whatever the exercise: its sign, a factor, its transpose.

And small tools on values: whether they agree, how they are shown, what to put in their place.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import partial
from itertools import combinations, product
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

FLOOR = 1e-7  # float32 noise around zero


class Pair(NamedTuple):
    """What came and what should have come in one case."""

    got: Tensor
    wanted: Tensor
    tolerance: float
    inputs: Callable[[], Mapping[str, Any]]  # made only where they are looked at


def _rounded_to(digits: int, factor: int, x: Tensor) -> Tensor:
    return (factor * x).round(decimals=digits)


# Sentences on a result of this name, and what makes it of the right one.
# fmt: off
RELATIONS: Mapping[str, Sequence[Callable[[Tensor], Tensor]]] = {
    "You return nothing but zeros in place of the {}.": (torch.zeros_like,),
    "You return the right values of the {} in another shape. Leave out `keepdim=True`, or flatten "
    "them.":
        (lambda x: x.unsqueeze(-1), lambda x: x.unsqueeze(0), lambda x: x[:, None, None],
         lambda x: x[None, :, None, None]),
    "The sign is turned round: you return minus the right {}.": (torch.neg,),
    "You return an absolute value in place of the {}. Keep the sign.": (torch.abs,),
    "You return the {} in percent. Leave out the factor 100.":
        (lambda x: 100 * x, *(partial(_rounded_to, digits, 100) for digits in range(3))),
    "You return half of the {}. Leave out that factor.": (lambda x: x / 2,),
    "You return the square root of the right {}. Leave the root out.": (torch.sqrt,),
    "You return the square of the right {}.": (torch.square,),
    "You return 1 divided by the right {}.": (torch.reciprocal,),
    "You return the logarithm of the right {}.": (torch.log,),
    "You return the exponential of the right {}. Leave out the last `exp`.": (torch.exp,),
    "You round the {}. Return all digits.":
        [partial(_rounded_to, digits, 1) for digits in range(5)],
    "You cut the {} down to whole numbers, by `//` or `int`. Divide with `/`.":
        (torch.floor, torch.trunc),
    "You keep the {} above 0, below 1, or both. Do not hide what lies outside.":
        (lambda x: x.clamp(0, 1), lambda x: x.clamp(min=0), lambda x: x.clamp(max=1)),
    "You return the {} in reverse order, the last row first.": (lambda x: x.flip(0),),
    "You return the {} transposed: rows and columns are exchanged.": (lambda x: x.mT,),
    "You average the {} over the batch. Leave that average out.":
        (lambda x: x.mean(0), lambda x: x.mean(0, keepdim=True)),
    "You add the {} up over the batch. Leave that sum out.": (lambda x: x.sum(0),),
    "You add up or average the {} over everything, and one number is left. Leave that out.":
        (torch.mean, torch.sum),
    "You add up or average each row of the {}. Keep the whole row.":
        (lambda x: x.sum(-1), lambda x: x.mean(-1)),
    "You return the place of the largest value in each row of the {} (`argmax`).":
        (lambda x: x.argmax(-1),),
    "You return one row of the {} alone. Return them all.":
        (lambda x: x[0], lambda x: x[:1], lambda x: x[-1]),
}
# fmt: on


def relation(name: str, pairs: Sequence[Pair]) -> str:
    """A sentence that holds in every case, or nothing, also where nothing has happened."""
    if all(close(pair.got, pair.wanted, pair.tolerance) for pair in pairs):
        return ""
    first, *others = pairs
    if not close(first.got, torch.zeros_like(first.got), 0.0) and (
        others and all(close(p.got, first.got, p.tolerance) for p in others)
    ):
        return ""  # one and the same answer everywhere: what it was made of cannot be seen
    for sentence, functions in RELATIONS.items():
        if any(all(_is(f, pair) for pair in pairs) for f in functions):
            return sentence.format(name)
    return ""


def _is(function: Callable[[Tensor], Tensor], pair: Pair) -> bool:
    try:
        return close(pair.got, function(pair.wanted.double()), pair.tolerance)
    except (IndexError, RuntimeError):  # no such dimension
        return False


def handed_back(pairs: Sequence[Pair]) -> str:
    """The result is one of the arguments in all cases."""
    given = [(pair, pair.inputs()) for pair in pairs]
    tensors = [k for k, v in given[0][1].items() if isinstance(v, Tensor)] if given else []
    same = [n for n in tensors if all(close(p.got, i[n], p.tolerance) for p, i in given)]
    return f"You return `{same[0]}` as your function got it." if same else ""


def factor(pairs: Sequence[Pair]) -> str:
    """The same quantity of the inputs, times one number, is too much or too little in all cases."""
    if len(pairs) < 3 or any(got.shape != wanted.shape for got, wanted, *_ in pairs):
        return ""
    ratios = []
    for got, wanted, tolerance, _ in pairs:
        largest = int(wanted.abs().argmax())
        ratio = float(got.flatten()[largest] / wanted.flatten()[largest])
        if not close(got, ratio * wanted.double(), tolerance):
            return ""
        ratios.append(ratio)
    known = [dict(_quantities(pair.inputs())) for pair in pairs]
    for name in known[0]:
        # An input that is 0 in a case is no factor there.
        rest = [ratio / each.get(name, np.nan) for ratio, each in zip(ratios, known, strict=True)]
        if np.isfinite(rest).all() and np.ptp(rest) < 1e-3 * abs(rest[0]):
            number = f"{rest[0]:.4g}".removesuffix(".0")
            if number == name == "1":
                return ""
            factor = number if name == "1" else name if number == "1" else f"{number} · {name}"
            return f"Yours is what is asked for times {factor}, in every case. Undo that factor."
    return ""


def _quantities(inputs: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Products of powers of the numbers among the inputs and the sizes of the first table."""
    base = {k: float(v) for k, v in inputs.items() if isinstance(v, int | float) and v}
    tables = [v for v in inputs.values() if isinstance(v, Tensor) and v.ndim == 2]
    base |= dict(zip("BC", map(float, tables[0].shape), strict=True)) if tables else {}
    rows = [v for v in inputs.values() if isinstance(v, list | np.ndarray)]
    base |= {"n": float(len(rows[0]))} if rows else {}
    powers = {form.format(name): v**power for name, v in base.items() for form, power in _FORMS}
    yield "1", 1.0
    yield from powers.items()
    for (one, a), (other, b) in combinations(powers.items(), 2):
        yield f"{one} · {other}", a * b


_FORMS = ("{}", 1), ("{}²", 2), ("1/{}", -1), ("1/{}²", -2)


def close(got: Tensor, expected: Tensor, tolerance: float) -> bool:
    """Whether two tensors agree, relative to the largest finite expected value; NaN equals NaN."""
    if got.shape != expected.shape:
        return False
    got, expected = got.detach().to(torch.float64), expected.detach().to(torch.float64)
    finite = expected[expected.isfinite()].abs()
    scale = float(finite.max()) if finite.numel() else 0.0
    return torch.allclose(got, expected, rtol=0.0, atol=tolerance * scale + FLOOR, equal_nan=True)


def another(value: Any) -> Any:
    """A value of the same kind in its place, or None."""
    if isinstance(value, float | int):
        return 0.7 * value + 0.11
    if isinstance(value, list) and all(isinstance(each, float) for each in value):
        return [another(each) for each in value]
    if isinstance(value, np.ndarray):
        return value**2
    if isinstance(value, nn.Module) and [*value.parameters()]:
        other = deepcopy(value)
        vector_to_parameters(0.7 * parameters_to_vector(other.parameters()), other.parameters())
        return other
    if not isinstance(value, Tensor):
        return None
    if value.dtype == torch.uint8:
        return 255 - value
    if value.is_floating_point():
        return 0.7 * value.flip(0) + 0.11
    return (value + 1) % (int(value.max()) + 1)


def exchangeable(inputs: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Places of two arguments of one kind."""
    kinds = [
        (v.ndim, v.dtype) if isinstance(v, Tensor | np.ndarray)
        else float if isinstance(v, int) else list if isinstance(v, list) and len(v) else type(v)
        for v in inputs.values()
    ]  # fmt: skip
    plain = [k for k, v in enumerate(inputs.values()) if another(v) is not None]
    return [(a, b) for a, b in product(plain, plain) if a < b and kinds[a] == kinds[b]]


def short(value: Any) -> str:
    """Numbers, lists and small tensors in a line; nothing for a network or an optimiser."""
    if isinstance(value, list | np.ndarray):
        value = torch.as_tensor(value)
    if isinstance(value, Tensor):
        if value.numel() > 24:
            return f"{_rounded(value.flatten()[:8].tolist())[:-1]}, …]"
        return _rounded(value.tolist())
    return f"{value:.6g}" if isinstance(value, int | float) else ""


def _rounded(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_rounded(v) for v in value)}]"
    return f"{value + 0:.5g}"  # and no -0
