"""Run a learner's function safely, and put what went wrong into words a learner can act on."""

import dis
import functools
import inspect
import re
import sysconfig
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.overrides import TorchFunctionMode

Answer = Callable[..., Any]

MOST_OPERATIONS = 400_000  # twelve trials that train students take a third of that


class Unfinished(Exception):
    """The function is still the stub of the exercise; the text says what to do."""


class Misuse(Exception):
    """The function cannot be judged; the text says why."""


@dataclass(frozen=True)
class Failure:
    """An exception of the learner's code; two failures are equal when torch says the same."""

    kind: str
    text: str

    @classmethod
    def of(cls, error: BaseException) -> "Failure":
        return cls(type(error).__name__, _text(error))


@contextmanager
def sandbox() -> Iterator[None]:
    """Gradients on, tensors on the CPU, and the global random state put back afterwards.

    Torch's hints to the user, such as `kl_div`'s on its reduction, are silent: the verdict speaks.
    """
    elsewhere = torch.get_default_device().type != "cpu"
    with (
        warnings.catch_warnings(action="ignore", category=UserWarning),
        torch.random.fork_rng(devices=[]),
        torch.inference_mode(False),  # and with gradients
        torch.device("cpu") if elsewhere else nullcontext(),
    ):
        yield


def call(answer: Answer, arguments: Mapping[str, Any], used: set[str] | None = None) -> Any:
    """The result of the learner's function, called with `arguments` by position.

    The names of the torch functions that it calls are added to `used`.
    """
    positional, keyword = _fit(answer, arguments)
    kinds = Tensor | np.ndarray | list | dict
    before = {name: _copied(v) for name, v in arguments.items() if isinstance(v, kinds)}
    try:
        with torch.enable_grad(), _Budget(set() if used is None else used):
            result = answer(*positional, **keyword)
    except (Exception, SystemExit) as error:
        if _is_unfinished(error):
            raise Unfinished("replace the `...` or the `raise` in your function.") from error
        raise
    if result is Ellipsis or (result is None and _does_nothing(answer)):
        raise Unfinished(
            f"write the body of your function. So far it returns {result}, whatever it is given."
        )
    for name, value in before.items():
        numbers = value.dtype.kind in "fc"
        if not np.array_equal(value, _copied(arguments[name]), equal_nan=numbers):
            raise Misuse(
                f"Your function changes its argument `{name}`; the caller still needs the old "
                "values. Make a new one, e.g. `x = x / 2` instead of `x /= 2`, or `sorted(x)` "
                "instead of `x.sort()`."
            )
    return result


def _copied(value: Any) -> NDArray[Any]:
    if isinstance(value, list | dict):
        value = deepcopy(value)
    return np.array(value.detach().numpy() if isinstance(value, Tensor) else value)


def to_tensor(result: Any, *, wanted: str) -> Tensor:
    """The learner's result as a tensor, or `Misuse` with what is `wanted` instead."""
    if isinstance(result, Tensor) and not (result.is_sparse or result.is_complex()):
        return result
    if isinstance(result, np.ndarray | np.number) and result.dtype.kind in "fiu":
        return torch.from_numpy(np.array(result))
    if isinstance(result, int | float) and not isinstance(result, bool):
        return torch.tensor(result, dtype=torch.float64)
    if result is None:
        raise Misuse(f"Your function returns nothing. End it with `return` and {wanted}.")
    raise Misuse(f"Your function returned a {type(result).__name__}; it should return {wanted}.")


def to_numbers(result: Any, *, wanted: str, otherwise: str) -> Tensor:
    """The learner's numbers as a tensor [n], from a list, too; `otherwise` says what if not."""
    if not isinstance(result, list | tuple):
        return to_tensor(result, wanted=wanted).detach()
    try:
        return torch.tensor([float(each) for each in result], dtype=torch.float64)
    except (TypeError, ValueError):
        raise Misuse(otherwise) from None


def to_number(result: Any, *, wanted: str, instead: str) -> Tensor:
    """The learner's result as a tensor of one element; `instead` of several it should return …"""
    number = to_tensor(result, wanted=wanted)
    if number.numel() != 1:
        raise Misuse(
            f"Your function returned {number.numel()} numbers; it should return {instead}."
        )
    return number.reshape(())


def two_of(result: Any, *, remedy: str) -> Any:
    """The learner's two results, or `Misuse` with a `remedy`."""
    array = isinstance(result, Tensor | np.ndarray)
    if isinstance(result, tuple | list) or (array and result.ndim):
        if len(result) == 2:
            return result
        what = f"the shape {list(result.shape)}" if array else f"{len(result)} values"
    else:
        what = "nothing" if result is None else f"a {type(result).__name__}"
    raise Misuse(f"Your function returned {what}; {remedy}.")


def to_loss(result: Any, *, wanted: str = "one number, the loss of the batch") -> Tensor:
    """The learner's loss as a tensor, without dimensions where it has one element."""
    loss = to_tensor(result, wanted=wanted)
    return loss.reshape(()) if loss.numel() == 1 else loss


def reached(tensor: Tensor) -> bool:
    """Whether a gradient has come to it."""
    return tensor.grad is not None and bool(tensor.grad.any())


def explain(error: BaseException) -> str:
    """One line on where the learner's code stopped, and one on the cause if it is a known one."""
    text = _text(error)
    summary = text.strip().partition("\n")[0][:160]
    message = f"Your code stopped{_place(error)} with {type(error).__name__}: {summary}"
    causes = (cause for pattern, cause in _CAUSES.items() if re.search(pattern, text))
    return "\n".join([message, *(f"Likely cause: {cause}" for cause in causes)][:2])


_CAUSES = {
    r"for \^=?: |bitwise_xor(_cpu|' not)": "`^` is not a power in Python. The power is `**`, as in "
    "`temperature**2`.",
    r"\b(decoupled_kd|dist|distillation)_loss\(\) takes \d+ positional": "this function does not "
    "take its settings by position. Name them: `temperature=…, alpha=…`.",
    r"\b(kd_loss|soft_targets|soft_cross_entropy|probability_mse)\(\) takes \d+ positional": ""
    "this function does not take the temperature by position. Name it: `temperature=…`.",
    r"name '(F|nn|torch|np|math|scipy|stats)' is not defined": "a missing import; run the import "
    "cell at the top of the notebook first, or import it above your function.",
    r"output dtype.* Bool": "True and False have no mean. Make them numbers: `.float().mean()`.",
    r"Boolean value of Tensor": "a condition on several numbers, or a loss of `nn` called like a "
    "function: it is made first, `nn.MSELoss()(a, b)`.",
    r"'float' object has no attribute 'backward'": "`.item()` makes a plain number, which no "
    "gradient goes through. Call `backward()` on the tensor.",
    r"does not require grad and does not have a grad_fn": "the loss has lost its connection to "
    "the student. Run the student outside `torch.no_grad()`, do not use `.item()` or `.detach()` "
    "on it, and give the student's logits to the loss as the student's.",
    r"grad can be implicitly created only for scalar outputs": "`backward()` needs one number; "
    "average the loss over the batch first.",
    r"Can't call numpy\(\) on Tensor that requires grad": "NumPy cannot follow gradients. Stay "
    "with torch functions, such as `torch.exp`.",
    r"leaf Variable that requires grad is being used in an in-place operation": "an in-place "
    "operation on an argument. Write `x = x / 2` instead of `x /= 2`.",
    r"backward through the graph a second time": "`backward()` uses the graph up. Call it once, "
    "and not inside a loss that is returned.",
    r"[Ii]nference tensor": "the teacher ran under `torch.inference_mode()`; use "
    "`torch.no_grad()` here.",
    r"different signs": "the search interval does not contain the answer; its ends must lie on "
    "both sides of it.",
    r"math domain error|expected a positive input|division by zero": "a logarithm of 0 or a "
    "division by 0. A probability of 0 contributes 0: leave it out.",
    r"return_types\.": "`max(dim=…)` returns the values and their places. Take `.values` of it, "
    "or use `amax`.",
    r"takes [0-2] positional arguments? but 3 were given": "if this is your hook, torch calls it "
    "as `hook(module, inputs, output)`.",
    r"can't be cast to the desired output type (Byte|Long)": "an in-place operation on whole "
    "numbers, whose result is none. Write `x = x / 255` instead of `x /= 255`.",
    r"'(builtin_function_or_method|method|function)' object has no attribute": "the brackets "
    "behind a method are missing, as in `.detach()`.",
    r"BackwardHookFunction": "a backward hook sees gradients. The layer's output comes by "
    "`register_forward_hook`.",
    r"modified by an inplace operation": "an in-place operation overwrote what a gradient needs: "
    "a line of yours such as `x += 1`, or a layer that works in place, as `ReLU(inplace=True)` "
    "behind the features that you keep. Keep a `.clone()`, or leave that operation out.",
    r"(max|min)\(\).* empty": "`max` or `min` of nothing, as nothing was left to choose from. Say "
    "what it returns then: `max(…, default=None)`.",
    r"list index out of range": "a list that is shorter than you take it for. Is there an entry "
    "before the first, or behind the last?",
    r"size of tensor a .* must match": "two tensors whose shapes do not go together. Print both "
    "shapes: is each of them what you take it for?",
    r"mat1 and mat2 shapes": "a matrix product whose shapes do not go together. If it is one in a "
    "network: does your function get that network, or is it one of the notebook's?",
    r"did not finish": "a `while` loop whose condition never becomes false. `for _ in "
    "range(100):` always ends.",
}


class _Budget(TorchFunctionMode):
    """Notes the names of torch operations and stops a loop of them that never ends."""

    def __init__(self, names: set[str]) -> None:
        super().__init__()
        self.names = names
        self.operations = 0

    def __torch_function__(
        self, func: Answer, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self.operations += 1
        self.names.add(getattr(func, "__name__", ""))
        if self.operations > MOST_OPERATIONS:
            raise RuntimeError(f"it did not finish after {MOST_OPERATIONS:,} operations")
        return func(*args, **(kwargs or {}))


def _fit(answer: Answer, arguments: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments such that keyword-only parameters are served too."""
    values = tuple(arguments.values())
    try:
        signature = inspect.signature(answer)
    except (TypeError, ValueError):  # some functions in C have none
        return values, {}
    parameters = signature.parameters.values()
    places = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    only = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    names = list(arguments)
    if set(places) == set(names) and places != names:
        raise Misuse(f"Your function's arguments should come in the order ({', '.join(names)}).")
    starred = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    count = len(names) if starred else min(len(places), len(names))
    rest = names[count:]
    keywords = rest if set(rest) <= set(only) else only
    keyword = dict(zip(keywords, values[count:], strict=False))
    with suppress(TypeError):
        signature.bind(*values[:count], **keyword)
        if len(keyword) == len(rest):
            return values[:count], keyword
    raise Misuse(
        "The number of arguments does not fit: your function takes "
        f"({', '.join(p.name for p in parameters)}), the exercise hands it ({', '.join(names)})."
    )


def _does_nothing(answer: Answer) -> bool:
    """Whether the body only moves constants around: `...`, `pass`, `return None`, a docstring."""
    code = _code(answer)
    idle = ("RESUME", "NOP", "CACHE", "LOAD_CONST", "LOAD_FAST", "STORE_FAST", "POP_TOP", "RETURN")
    return code is not None and all(i.opname.startswith(idle) for i in dis.get_instructions(code))


def _code(answer: Any) -> CodeType | None:
    while isinstance(answer, functools.partial):
        answer = answer.func
    answer = inspect.unwrap(answer)
    if not (inspect.isfunction(answer) or inspect.ismethod(answer)):
        answer = type(answer).__call__
    return getattr(answer, "__code__", None)


def _is_unfinished(error: BaseException) -> bool:
    """Whether it is the stub's own `raise NotImplementedError`, or a `...` still to be filled in.

    Torch raises NotImplementedError as well, so the instruction that raised decides.
    """
    if isinstance(error, TypeError | AttributeError):
        return "ellipsis" in _text(error)
    if not isinstance(error, NotImplementedError):
        return False
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    assert last is not None
    return dis.opname[last.tb_frame.f_code.co_code[last.tb_lasti]] == "RAISE_VARARGS"


def _place(error: BaseException) -> str:
    """Line and source of the innermost frame that is neither a library's nor ours."""
    libraries = [sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")]
    others = ("<frozen", *libraries, str(Path(__file__).parent.parent))
    frames = traceback.extract_tb(error.__traceback__)
    for frame in reversed(frames):
        if not frame.filename.startswith(others):
            return f" in line {frame.lineno}" + (f" (`{frame.line}`)" if frame.line else "")
    return ""


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # a learner's exception class may be broken as well
        return ""
