"""Digests of code that is neither this package's nor an installed one's.

A name tells which loss of an installed package a checkpoint was made with. Of a function in a
notebook's cell it tells nothing: the cell may have been edited since. What is told here is what
runs: bytecode and constants, defaults, closures, the globals that are read, classes with their
methods, and the attributes of objects; not where it stands, and no comment or docstring.
"""

import array
import dis
import hashlib
import inspect
import sys
import types
from argparse import Namespace
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import is_dataclass
from decimal import Decimal
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kdhelpers.objectives.frozen import globals_read, is_own, is_own_module, nested
from kdhelpers.objectives.objective import module_of

PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...), np.generic, PurePath)
PLAIN_OF_TORCH = (torch.dtype, torch.device, torch.Size)
TOLD_BY_REPR = (Fraction, Decimal, array.array, range, bytearray, slice, np.ufunc)
OF_EVERY_MODULE = vars(nn.Module()).keys()
OF_EVERY_CLASS = {"__module__", "__doc__", "__dict__", "__weakref__", "__annotations__"}
OF_EVERY_CLASS |= {"__annotate_func__", "__annotations_cache__"}
OF_EVERY_CLASS |= {"__firstlineno__", "__static_attributes__"}
OF_EVERY_CLASS |= {"__slotnames__"}  # put there by the first copy of an object
CALLED_IN_TRAINING = ("forward", "__call__", "prepare", "start_epoch", "figures")
CALLED_IN_A_STEP = ("forward", "__call__", "step", "figures")


def own_code(*roots: Any) -> dict[str, str]:
    """Name and digest of each own function, and each object of an own class, that `roots` hold.

    The digest is the same in another process and where a cell has merely been run again; another
    Python compiles to other bytecode, so its version goes before.
    """
    digests: dict[str, list[str]] = {}
    for value in _own_values(roots, {}):
        thing = value if isinstance(value, types.FunctionType | type) else type(value)
        content = _Content()
        if isinstance(value, nn.Module):
            content.add_module(value, whole=False)
        else:
            content.add(value)
        name = f"{module_of(thing)}.{thing.__qualname__}"
        digests.setdefault(name, []).append(content.digest.hexdigest())
    version = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    return {name: f"{version} {' '.join(found)}" for name, found in digests.items()}


def _is_ours(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == __name__.partition(".")[0]


def _own_values(value: Any, seen: dict[int, Any]) -> Iterator[Any]:
    """What is own among all that `value` leads to, without looking into it."""
    if id(value) in seen:
        return
    seen[id(value)] = value
    thing = value if isinstance(value, types.FunctionType | type) else type(value)
    if is_own(thing):
        yield value
    elif not isinstance(value, types.FunctionType | type):
        for part in _parts(value):
            yield from _own_values(part, seen)


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, types.MethodType):
        return value.__func__, value.__self__
    if isinstance(value, partial):
        return value.func, value.args, value.keywords
    if (inside := _wrapped(value)) is not None:
        return (inside,)
    if isinstance(value, dict | types.MappingProxyType):
        return value.values()
    if isinstance(value, list | tuple | set | frozenset | deque):
        return value
    if isinstance(value, nn.Module):
        return *_attributes(value).values(), *value.children(), *_hooks(value)
    return _attributes(value).values()


def _wrapped(value: Any) -> Any:
    """The function in a `functools.cache` and its like, and in NumPy's `vectorize`."""
    if isinstance(value, np.vectorize):
        return value.pyfunc
    return None if isinstance(value, type) else getattr(value, "__wrapped__", None)


def _attributes(value: Any) -> dict[str, Any]:
    """The attributes that an object was given, without those that it keeps its state in."""
    kind, own = type(value), dict(getattr(value, "__dict__", {}))
    for each in kind.__mro__:
        slots = vars(each).get("__slots__", ())
        slots = (slots,) if isinstance(slots, str) else slots
        own |= {name: getattr(value, name) for name in slots if hasattr(value, name)}
    told = isinstance(value, nn.Module | types.SimpleNamespace | Namespace) or is_dataclass(kind)
    if not (told or is_own(kind) or _is_ours(kind)):
        return {}
    hidden = {name for _, name in set_in_training(kind)}
    hidden |= OF_EVERY_MODULE if isinstance(value, nn.Module) else set()
    return {
        name: own[name]
        for name in own
        if name not in hidden and (is_own(kind) or not name.startswith("_"))
    }


def set_in_training(
    *kinds: type, called: Iterable[str] = CALLED_IN_TRAINING
) -> set[tuple[type, str]]:
    """The attributes that change in training: methods set them that are called there.

    Of several classes, which hold objects of one another, a method may call those of all.
    """
    codes: dict[str, list[tuple[type, types.CodeType]]] = {}
    for kind in kinds:
        for each in kind.__mro__:
            if is_own(each) or _is_ours(each):
                for name, method in vars(each).items():
                    while isinstance(method, types.FunctionType):  # a decorator's, what it wraps
                        found = codes.setdefault(name, [])
                        found += [(kind, code) for code in nested(method.__code__)]
                        method = getattr(method, "__wrapped__", None)
    stored: set[tuple[type, str]] = set()
    reached, left = set(called), list(called)
    while left:
        for kind, code in codes.get(left.pop(), []):
            steps = list(dis.get_instructions(code))
            for before, step in pairwise(steps):
                if step.opname == "STORE_ATTR" and before.opname != "LOAD_ATTR":  # self.x.y = …
                    stored.add((kind, step.argval))
            left += codes.keys() & set(code.co_names) - reached
            reached |= set(code.co_names)
    return stored


def _as_written(kind: type) -> dict[str, Any]:
    """What a class holds, without what PyTorch puts around `step` once an optimiser is made."""
    content = dict(vars(kind))
    if getattr(content.get("step"), "hooked", False):
        content["step"] = content["step"].__wrapped__
        inherited = [inspect.unwrap(getattr(base, "step", base)) for base in kind.__bases__]
        if inspect.unwrap(content["step"]) in inherited:
            del content["step"]
    return content


def _hooks(module: nn.Module) -> list[Any]:
    return [*module._forward_pre_hooks.values(), *module._forward_hooks.values()]


class _Content:
    """Collects all that a value consists of; what is met again is told by its number."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self.seen: dict[int, tuple[int, Any]] = {}

    def _tell(self, *words: object) -> None:
        self.digest.update(f"{words!r}\n".encode())

    def add(self, value: Any) -> None:
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, PLAIN + PLAIN_OF_TORCH):
            return self._tell(type(value).__name__, value)
        if isinstance(value, types.CodeType):
            return self._add_code(value)
        if isinstance(value, tuple):  # the compiler may share equal ones
            return self._add_all("tuple", value)
        if isinstance(value, set | frozenset):
            return self._tell("set", sorted(map(_digest, value)))
        if id(value) in self.seen:
            return self._tell("again", self.seen[id(value)][0])
        self.seen[id(value)] = len(self.seen), value
        if not isinstance(value, types.FunctionType) and (inside := _wrapped(value)) is not None:
            self._tell("wraps")
            return self.add(inside)
        for kind, add in self._kinds():
            if isinstance(value, kind):
                return add(value)
        self._tell("object")
        self.add(type(value))
        self.add(_attributes(value))

    def _kinds(self) -> Iterator[tuple[Any, Callable[[Any], None]]]:
        yield types.FunctionType, self._add_function
        yield types.BuiltinFunctionType, lambda call: self._tell("built-in", call.__name__)
        yield type, self._add_class
        yield types.ModuleType, lambda module: self._tell("module", module.__name__)
        yield staticmethod | classmethod, lambda method: self.add(method.__func__)
        yield property, lambda own: self._add_all("property", (own.fget, own.fset))
        yield types.MethodType | partial, lambda call: self._add_all("call", tuple(_parts(call)))
        yield list | deque, lambda values: self._add_all("list", values)
        yield dict | types.MappingProxyType, lambda values: self._add_all("dict", values.items())
        yield TOLD_BY_REPR, lambda value: self._tell(type(value).__name__, repr(value))
        yield Tensor, self._add_tensor
        yield np.ndarray, lambda array: self._tell(str(array.dtype), array.shape, array.tobytes())
        yield nn.Module, self.add_module

    def _add_all(self, kind: str, values: Iterable[Any]) -> None:
        values = list(values)
        self._tell(kind, len(values))
        for value in values:
            self.add(value)

    def _add_code(self, code: types.CodeType, doc: str | None = None) -> None:
        self._tell(code.co_code, code.co_exceptiontable, code.co_flags)
        self._tell(code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)
        self._tell(code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        self._add_all("constants", [c for c in code.co_consts if doc is None or c != doc])

    def _add_function(self, function: types.FunctionType) -> None:
        if not is_own(function):
            return self._tell("function", function.__module__, function.__qualname__)
        for name in ("__wrapped__", "registry"):  # of a decorator, of `singledispatch`
            if name in vars(function):
                self.add(vars(function)[name])
        code, around = function.__code__, function.__globals__
        self._add_code(code, function.__doc__)
        self._add_all("defaults", (function.__defaults__, function.__kwdefaults__))
        for cell in function.__closure__ or ():
            filled: list[Any] = []
            with suppress(ValueError):  # it is empty as yet
                filled = [cell.cell_contents]
            self._add_all("cell", filled)
        for each in nested(code):
            for name in sorted(globals_read(each) & around.keys()):
                value = around[name]
                self._tell("global", name)
                self.add(value)
                if isinstance(value, types.ModuleType) and is_own_module(value.__name__):
                    self._add_used(value, each)

    def _add_used(self, module: types.ModuleType, code: types.CodeType) -> None:
        """Of a module what the code may read: `losses.soft` reads `soft`."""
        for name in sorted(vars(module).keys() & set(code.co_names)):
            self._tell("of module", name)
            self.add(vars(module)[name])

    def _add_class(self, kind: type) -> None:
        self._tell("class", module_of(kind), kind.__qualname__)
        if is_own(kind):
            content = _as_written(kind)
            for name in sorted(content.keys() - OF_EVERY_CLASS):
                self._tell("of class", name)
                self.add(content[name])
            self._add_all("bases", kind.__bases__)

    def _add_tensor(self, tensor: Tensor) -> None:
        self._tell(str(tensor.dtype), tuple(tensor.shape))
        values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        self.digest.update(values.numpy().tobytes())

    def add_module(self, module: nn.Module, *, whole: bool = True) -> None:
        """A network, `whole` or without what is trained of it: its first values may be random."""
        self.add(type(module))
        self._add_all("attributes", sorted(_attributes(module).items()))
        self._add_all("hooks", _hooks(module))
        tensors = [*module._parameters.items(), *module._buffers.items()]
        kept = [(name, t) for name, t in tensors if t is not None]
        self._add_all("tensors", [each for each in kept if whole or not each[1].requires_grad])
        for name, layer in module.named_children():
            self._tell("layer", name)
            self.add_module(layer, whole=whole)


def _digest(value: Any) -> str:
    content = _Content()
    content.add(value)
    return content.digest.hexdigest()
