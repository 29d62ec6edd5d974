"""A run on disk: everything needed to go on after the last finished epoch, and nothing else."""

import copy
import math
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from kdhelpers._files import atomic
from kdhelpers._values import is_number, require, short_path, short_repr
from kdhelpers.objectives.frozen import is_own, unsaved_buffers
from kdhelpers.training.devices import PRECISION_NAMES
from kdhelpers.training.own_code import CALLED_IN_A_STEP, set_in_training

FORMAT = 1
PLAIN = (type(None), bool, int, float, complex, str, np.generic)
READABLE = (*PLAIN, bytes, set, Tensor, torch.Size, torch.dtype, torch.device)
# How the state of a random generator is read and set.
GENERATORS: dict[type, tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]] = {
    random.Random: (random.Random.getstate, random.Random.setstate),
    torch.Generator: (torch.Generator.get_state, torch.Generator.set_state),
    np.random.Generator: (
        lambda own: own.bit_generator.state,
        lambda own, state: setattr(own.bit_generator, "state", state),
    ),
    np.random.RandomState: (
        lambda own: [np.asarray(each).tolist() for each in own.get_state()],
        lambda own, state: own.set_state(tuple(state)),
    ),
}
OF_ALL_WEIGHTS = {"step", "eta", "mu", "mu_product"}  # what optimisers keep as one number
OTHER_SHAPES = {"LBFGS", "Adafactor"}  # optimisers that do not keep a value for each weight
ASIDE = "give another path"
ANEW = {
    "student": "build the student anew, with the same seed, or ",
    "regressor": "make the regressor anew, or ",
    "seeds": "give the workers that it began with, or ",
}


class CheckpointError(RuntimeError):
    """A checkpoint is damaged or belongs to another run; the message says what to do."""


def save(
    path: Path, parts: dict[str, Any], settings: dict[str, Any], history: list[dict[str, float]]
) -> None:
    """Write the state of `parts` (anything with a `state_dict`) whole or not at all."""
    state = {name: part.state_dict() for name, part in parts.items()}
    content = {"format": FORMAT, "settings": settings, "history": history, "state": state}
    content = plain(content, where=short_path(path))
    try:
        with atomic(path) as partial:
            torch.save(content, partial)
    except (OSError, RuntimeError) as error:  # PyTorch reports a full disk as a RuntimeError
        reason = getattr(error, "strerror", None) or error
        raise OSError(
            f"{short_path(path)} cannot be written ({reason}; {_free(path)} MB are free on its "
            "disk); make room, or its folder writable, and start again: the run goes on from its "
            "last checkpoint."
        ) from error


def plain(value: Any, *, where: str = "a checkpoint") -> Any:
    """The value with Python's numbers in place of NumPy's, which could not be read again; what is
    neither a tensor nor a plain value is refused, and told with its place.
    """
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        made = copy.copy(value)  # of its own kind: a state_dict carries versions
        for name in value:
            made[name] = plain(value[name], where=f"{where}, {name}")
        return made
    if isinstance(value, list):
        return [plain(each, where=where) for each in value]
    if type(value) is tuple:
        return tuple(plain(each, where=where) for each in value)
    if not isinstance(value, READABLE):
        raise CheckpointError(f"{where}: only tensors and plain values, got {short_repr(value)}.")
    return value


def _free(path: Path) -> str:
    try:
        return f"{shutil.disk_usage(path.parent).free / 1e6:.1f}"
    except OSError:  # the folder is gone
        return "unknown"


def load(
    path: Path, parts: dict[str, Any], settings: dict[str, Any], epochs: int
) -> list[dict[str, float]]:
    """Put the saved state into `parts` and return the history so far: none if there is no file.

    Only tensors and plain values are read (`weights_only`): a file that carries code is refused.
    Where anything does not fit, the parts are as they were.
    """
    told = short_path(path)
    plain({name: part.state_dict() for name, part in parts.items()}, where=told)  # can be saved
    try:
        content = _read(path)
        remedy = "put them into the student with load_state_dict"
        weights = f"{told} holds weights, not a run: {remedy}, and {ASIDE} for the checkpoint."
        require(not _is_weights(content), weights, CheckpointError)
        kept, history, state = (content[key] for key in ("settings", "history", "state"))
        lacks = "besides" not in state and parts["besides"].state_dict()
        known = content["format"] == FORMAT and not lacks
        kept, state, rows = dict(kept), {"besides": {}} | state, [dict(row) for row in history]
        numbers = all(is_number(v) for row in rows for v in row.values())
        in_order = [row["epoch"] for row in rows] == [*range(1, len(rows) + 1)]
        require(numbers and in_order, "", TypeError)
        require(known, f"{told} was written by another version; {ASIDE}.", CheckpointError)
        _compare(told, kept, plain(settings))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CheckpointError(
            f"{told} may not be read ({error.strerror or error}), which does not make it damaged; "
            f"make it readable, or {ASIDE}."
        ) from error
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(
            f"{told} cannot be read as a checkpoint ({type(error).__name__}); {ASIDE}, or move "
            "the file away to start afresh."
        ) from error
    more = f"{told} holds {len(rows)} epochs, more than the {epochs} asked for; {ASIDE}."
    require(len(rows) <= epochs, more, CheckpointError)
    before = {name: copy.deepcopy(part.state_dict()) for name, part in parts.items()}
    try:
        for name, part in parts.items():
            part.load_state_dict(state[name])
            require(_alike(before[name], part.state_dict()), f"other kinds of values in {name}")
        _check_numbers(parts)
    except Exception as error:
        for name, part in parts.items():
            part.load_state_dict(before[name])
        reason = error if type(error) is ValueError else type(error).__name__
        raise CheckpointError(f"{told} does not fit this run ({reason}); {ASIDE}.") from error
    return rows


def precision_of(path: Path) -> str | None:
    """The precision in which the run at `path` began; None where none can be read, see `load`."""
    try:
        return PRECISION_NAMES[_read(path)["settings"]["precision"]]
    except Exception:
        return None


class Besides:
    """What a run goes on with besides: what its parts leave out of their `state_dict`.

    These are buffers, random generators, and of own code the attributes that its steps set, if they
    are plain or tensors, and the tensors that they change in place; not tensors of a student, which
    are features of its last images.
    """

    def __init__(self, parts: dict[str, Any]) -> None:
        self.modules = nn.ModuleDict({n: p for n, p in parts.items() if isinstance(p, nn.Module)})
        found = parts | dict(self.modules.named_modules())
        for path, part in [*found.items()]:  # losses and schedules, for instance
            found |= {f"{path}.{n}": own for n, own in getattr(part, "__dict__", {}).items()}
        self.generators = {p: part for p, part in found.items() if type(part) in GENERATORS}
        kinds = {type(part) for part in found.values() if is_own(type(part))}
        self.attributes = {
            f"{path}.{name}": (part, name)
            for kind, name in set_in_training(*kinds, called=CALLED_IN_A_STEP)
            for path, part in found.items()
            if type(part) is kind
        }
        self.tensors = {  # and what each held before the first step
            f"{path}.{name}": (value, value.detach().clone())
            for path, part in found.items()
            if is_own(type(part)) and not path.startswith(("student", "average"))
            for name, value in getattr(part, "__dict__", {}).items()
            if isinstance(value, Tensor) and value.layout == torch.strided
            if f"{path}.{name}" not in self.attributes
        }

    def state_dict(self) -> dict[str, Any]:
        state = {path: GENERATORS[type(own)][0](own) for path, own in self.generators.items()}
        for path, (part, name) in self.attributes.items():
            value = getattr(part, name, ...)
            if isinstance(value, Tensor) and not path.startswith("student"):
                state[path] = value.detach()
            elif isinstance(value, PLAIN):
                state[path] = value
        for path, (own, begun) in self.tensors.items():
            if not torch.equal(own, begun):
                state[path] = own.detach()
        return state | unsaved_buffers(self.modules)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for path, buffer in unsaved_buffers(self.modules).items():
            buffer.copy_(state[path])
        for path, own in self.generators.items():
            GENERATORS[type(own)][1](own, state[path])
        device = next(self.modules.parameters()).device
        for path in self.attributes.keys() & state.keys():
            value = state[path]
            value = value.to(device) if isinstance(value, Tensor) else value
            setattr(*self.attributes[path], value)
        for path, (own, begun) in self.tensors.items():
            value = state.get(path, begun).to(own.device)
            if not torch.equal(own, value):
                own.detach().copy_(value)


def _read(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        if archive.testzip() is not None:  # torch.load does not compare the checksums
            raise zipfile.BadZipFile
    return torch.load(path, map_location="cpu", weights_only=True)


def _is_weights(content: Any) -> bool:
    """Tensors by name, perhaps below a name such as "state_dict"."""
    if not isinstance(content, dict) or "format" in content:
        return False
    return any(isinstance(value, Tensor) or _is_weights(value) for value in content.values())


def _compare(told: str, kept: dict[str, Any], settings: dict[str, Any]) -> None:
    """Tell one setting that differs: what others may follow from first, the seeds of several
    networks and then a network, and code last."""
    other = {str(n) for n in settings.keys() | kept.keys() if settings.get(n) != kept.get(n)}
    if not other:
        return
    first = {"seeds": 0, "student": 1}
    name = min(other, key=lambda name: (name.startswith("code of "), first.get(name, 2), name))
    if name.startswith("code of "):
        raise CheckpointError(
            f"{told} belongs to another run: the {name}, or an attribute, has changed since (or "
            f"the Python that compiled it); {ASIDE} for the new code."
        )
    theirs, ours = _short(kept.get(name)), _short(settings.get(name))
    remedy = ANEW.get(name.split()[-1], "")  # "hint regressor" is the regressor of a pair
    raise CheckpointError(
        f"{told} belongs to another run: its {name} is {theirs}, this run has {ours}; "
        f"{remedy}{ASIDE} (the weights in it: torch.load(path)['state']['student'])."
    )


def _alike(before: Any, now: Any) -> bool:
    """Whether what both states hold is of one kind: a number is no text; None may become any."""
    if isinstance(before, dict) and isinstance(now, dict):
        return all(_alike(before[name], now[name]) for name in before.keys() & now.keys())
    if isinstance(before, list | tuple) and isinstance(now, list | tuple):
        return all(map(_alike, before, now))
    if before is None or now is None or (is_number(before) and is_number(now)):
        return True
    return isinstance(now, type(before))


def _check_numbers(parts: dict[str, Any]) -> None:
    """Refuse tensors that a step would compute nonsense from, or read past the end of."""
    for name, part in parts.items():
        if isinstance(part, nn.Module):
            for path, parameter in part.named_parameters():
                require(parameter.isfinite().all(), f"{name}.{path} is not finite")
        if isinstance(part, Optimizer):
            _check_state(part)


def _check_state(optimizer: Optimizer) -> None:
    kinds = {k.__name__ for k in type(optimizer).__mro__ if k.__module__.startswith("torch.optim.")}
    a_value_each = len(kinds) > 1 and not kinds & OTHER_SHAPES
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            told = f"the optimizer's {name} is"
            if isinstance(value, float):
                require(math.isfinite(value), f"{told} {value}")
            if not isinstance(value, Tensor):
                continue
            require(value.isfinite().all(), f"{told} not finite")
            if not a_value_each:
                continue
            wanted = torch.Size() if name in OF_ALL_WEIGHTS else parameter.shape
            fits = value.shape == wanted and value.is_floating_point()
            require(fits, f"{told} {value.dtype} {list(value.shape)}")
            if wanted and value.stride() != parameter.stride():  # kernels walk over both as one
                state[name] = torch.empty_like(parameter.detach(), dtype=value.dtype).copy_(value)


def _short(value: object) -> str:
    """A setting as a reader wants it: fingerprints are cut to what tells them apart."""
    text = repr(value)
    return text if len(text) <= 64 else text[:12] + "…"
