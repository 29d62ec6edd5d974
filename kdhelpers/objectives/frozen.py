"""Frozen copies of networks of any kind, and what tells one network from another."""

import copy
import dis
import hashlib
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from kdhelpers import _tensors
from kdhelpers.evaluation import precision_of, set_to_eval, uses_view
from kdhelpers.objectives.objective import module_of


def frozen(network: nn.Module, device: torch.device) -> nn.Module:
    """A copy on the device, in eval mode, without gradients, that takes images in any precision."""
    model = _copied(network)
    for parameter in model.parameters():
        parameter.detach_().requires_grad_(False)  # TorchScript copies no leaves
    set_to_eval(model)
    model.to(device).to(memory_format=torch.channels_last)
    if not isinstance(model, torch.jit.ScriptModule):  # which takes neither
        model.register_forward_pre_hook(partial(_cast, precision_of(model)))
        if "forward" not in vars(model):
            model.forward = _InALayout(model)
    return model


def _copied(model: nn.Module) -> nn.Module:
    """A copy that shares what cannot be copied: sessions, handles, locks."""
    try:
        return copy.deepcopy(model)
    except Exception:  # whatever the objects in it raise
        shared: dict[int, Any] = {}
        for value in _attributes(model).values():
            try:
                copy.deepcopy(value)
            except Exception:
                shared[id(value)] = value
        return copy.deepcopy(model, shared)


class _InALayout:
    """A forward pass with channels last, the fast layout, or without if its code cannot (`view`).

    The first images tell.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model, self.known, self.plain = model, False, False

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        if not self.known:
            try:
                own = (x.clone() if isinstance(x, Tensor) else x for x in inputs)
                answer = self._forward(*own, **options)
                self.known = True
                return answer
            except RuntimeError as error:
                if not uses_view(error):
                    raise
            self.model.to(memory_format=torch.contiguous_format)
            self.known = self.plain = True
        if self.plain:
            inputs = tuple(x.contiguous() if isinstance(x, Tensor) else x for x in inputs)
        return self._forward(*inputs, **options)

    def _forward(self, *inputs: Any, **options: Any) -> Any:
        return type(self.model).forward(self.model, *inputs, **options)


def _cast(dtype: torch.dtype, _model: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(tensor.to(dtype) for tensor in inputs)


def fingerprint(model: nn.Module) -> str:
    """SHA-256 of a network's structure (its `repr`), settings, weights and buffers.

    Two networks with the same one compute the same, unless the code of a `forward`, or of a module
    that it reads, was edited, or one `is_opaque`.
    """
    _tensors.check_network(model)
    told = f"{type(model).__qualname__} {model!r} {settings_of(model)}"
    digest = hashlib.sha256(told.encode())
    for name, value in {**model.state_dict(), **unsaved_buffers(model)}.items():
        _add(digest, name, value)
    return digest.hexdigest()


def unsaved_buffers(model: nn.Module) -> dict[str, Tensor]:
    """Those that its `state_dict` leaves out, but the network computes with."""
    saved = model.state_dict().keys()
    return {name: buffer for name, buffer in model.named_buffers() if name not in saved}


def _add(digest: Any, name: str, value: Any) -> None:
    """A value of a `state_dict`; those of quantised layers are tuples, and types, too."""
    if isinstance(value, tuple):
        for number, each in enumerate(value):
            _add(digest, f"{name}.{number}", each)
    elif isinstance(value, Tensor):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        tensor = value.dequantize() if value.is_quantized else value.detach()
        digest.update(tensor.cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    else:
        digest.update(f"{name} {value!r}".encode())


_OF_EVERY_MODULE = {*vars(nn.Module()), "_is_torch_compile"}
_TOLD: tuple[type, ...] = (type(None), bool, int, float, complex, str, bytes, nn.Module, type)
_TOLD += (torch.dtype, torch.device, torch.Size, BuiltinFunctionType)


def _attributes(model: nn.Module) -> dict[str, Any]:
    """What the layers of a network hold besides weights and layers, by dotted name."""
    return {
        f"{path}.{name}": value
        for path, module in model.named_modules()
        for name, value in vars(module).items()
        if name not in _OF_EVERY_MODULE
    }


def settings_of(model: nn.Module) -> list[str]:
    """The attributes that a `forward` may compute with, as text: numbers, flags, functions."""
    return [
        f"{name}={_in_text(value)}"
        for name, value in _attributes(model).items()
        if isinstance(value, FunctionType) or _is_told(value)
    ]


def _in_text(value: Any) -> str:
    """The same in every process, so without addresses and in an order."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_in_text, value))}]"
    if isinstance(value, set | frozenset):
        return f"{{{', '.join(sorted(map(_in_text, value)))}}}"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key!r}: {_in_text(each)}' for key, each in value.items())}}}"
    if isinstance(value, FunctionType | BuiltinFunctionType):
        name = f"{value.__module__}.{value.__qualname__}"
        own = isinstance(value, FunctionType) and not _is_installed(value)
        return f"{name} {_in_text(_parts(value))}" if own else name
    return repr(value)


def _parts(function: Any) -> list[Any]:
    """What a function does and with which defaults, as far as it can be told."""
    codes = [(code.co_code, code.co_names, *code.co_consts) for code in nested(function.__code__)]
    values = [*sum(codes, ()), function.__defaults__, function.__kwdefaults__]
    return [value for value in values if _is_told(value)]


def is_opaque(model: nn.Module) -> bool:
    """Whether `fingerprint` cannot tell all that the answers depend on."""
    hooked = any(each._forward_hooks or each._forward_pre_hooks for each in model.modules())
    told = all(map(_is_told, _attributes(model).values()))
    return hooked or not told or not model.state_dict()


def _is_told(value: Any) -> bool:
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(_is_told, value))
    if isinstance(value, dict):
        return all(map(_is_told, value.values()))
    if isinstance(value, FunctionType):
        told = not value.__closure__ and _is_told([value.__defaults__, value.__kwdefaults__])
        return told and (_is_installed(value) or not _reads_values(value))
    return isinstance(value, _TOLD)


def _reads_values(function: FunctionType) -> bool:
    """Whether it reads globals of one's own, which its text says nothing of."""
    around = function.__globals__
    read = {name for code in nested(function.__code__) for name in globals_read(code)}
    return not all(_is_installed(around[name]) for name in read & around.keys())


def _is_installed(value: Any) -> bool:
    if isinstance(value, ModuleType | BuiltinFunctionType):
        return True
    return isinstance(value, FunctionType | type) and not is_own(value)


def globals_read(code: CodeType) -> set[str]:
    """The names that code reads from its module, those of built-in functions too."""
    steps = dis.get_instructions(code)
    return {step.argval for step in steps if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}


def nested(code: CodeType) -> Iterator[CodeType]:
    """The code and that of the functions and comprehensions in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from nested(constant)


def is_own(thing: Any) -> bool:
    """Whether a function or class is of a module of one's own."""
    return is_own_module(module_of(thing))


def is_own_module(name: str) -> bool:
    """Whether a module is neither this package's nor Python's nor an installed one."""
    top = name.partition(".")[0]
    if top == __name__.partition(".")[0] or top in sys.stdlib_module_names:
        return False
    file = getattr(sys.modules.get(name), "__file__", None) if name != "__main__" else None
    return not file or not {"site-packages", "dist-packages"} & set(Path(file).parts)
