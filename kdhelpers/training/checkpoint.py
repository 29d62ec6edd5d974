"""A run on disk: everything needed to go on after the last finished epoch, and nothing else."""

import copy
import shutil
import zipfile
from pathlib import Path
from typing import Any

import torch

from kdhelpers._files import atomic
from kdhelpers._values import is_number, short_path

FORMAT = 1


class CheckpointError(RuntimeError):
    """A checkpoint is damaged or belongs to another run; the message says what to do."""


def save(
    path: Path, parts: dict[str, Any], settings: dict[str, Any], history: list[dict[str, float]]
) -> None:
    """Write the state of `parts` (anything with a `state_dict`) whole or not at all.

    Raises:
        OSError: the folder cannot be written, or the disk is full; the previous checkpoint
            stays as it was.
    """
    state = {name: part.state_dict() for name, part in parts.items()}
    content = {"format": FORMAT, "settings": settings, "history": history, "state": state}
    try:
        with atomic(path) as partial:
            torch.save(content, partial)
    except (OSError, RuntimeError) as error:  # PyTorch reports a full disk as a RuntimeError
        reason = getattr(error, "strerror", None) or error
        raise OSError(
            f"{short_path(path)} cannot be written ({reason}; {_free(path)} MB are free on its "
            "disk); "
            "make room, or its folder writable, and start again: the run goes on from its last "
            "checkpoint."
        ) from error


def _free(path: str | Path) -> str:
    try:
        return f"{shutil.disk_usage(Path(path).parent).free / 1e6:.1f}"
    except OSError:  # the folder is gone
        return "unknown"


def load(
    path: Path, parts: dict[str, Any], settings: dict[str, Any], epochs: int
) -> list[dict[str, float]]:
    """Put the saved state into `parts` and return the history so far.

    Only tensors and plain values are read (`weights_only`): a file that carries code is
    refused.

    Raises:
        CheckpointError: the file is not a checkpoint of ours, is damaged, was made with other
            settings, or holds more epochs than are asked for; the parts are as they were.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:  # torch.load does not compare the checksums
                raise zipfile.BadZipFile
        content = torch.load(path, map_location="cpu", weights_only=True)
        kept, history, state = (content[key] for key in ("settings", "history", "state"))
        known = content["format"] == FORMAT
        kept, state, rows = dict(kept), dict(state), [dict(row) for row in history]
        if not _is_plain(kept) or not all(is_number(v) for row in rows for v in row.values()):
            raise TypeError
    except Exception as error:
        raise CheckpointError(
            f"{short_path(path)} cannot be read as a checkpoint ({type(error).__name__}); delete "
            "it to start afresh, or give another path."
        ) from error
    if not known:
        raise CheckpointError(f"{short_path(path)} was written by another version; delete it.")
    for name in sorted(settings.keys() | kept.keys(), key=str):
        if settings.get(name) != kept.get(name):
            theirs, ours = _short(kept.get(name)), _short(settings.get(name))
            raise CheckpointError(
                f"{short_path(path)} belongs to another run: its {name} is {theirs}, this run has "
                f"{ours}; {_remedy(name)}."
            )
    if len(rows) > epochs:
        raise CheckpointError(
            f"{short_path(path)} holds {len(rows)} epochs, more than the {epochs} asked for; "
            "delete it or give another path."
        )
    before = {name: copy.deepcopy(part.state_dict()) for name, part in parts.items()}
    try:
        complete = {name: state[name] for name in parts}  # before anything is changed
        for name, part in parts.items():
            part.load_state_dict(complete[name])
    except Exception as error:
        for name, part in parts.items():
            part.load_state_dict(before[name])
        raise CheckpointError(
            f"{short_path(path)} does not fit this run ({type(error).__name__}); delete it or give "
            "another path."
        ) from error
    return rows


def _is_plain(value: Any) -> bool:
    """Whether a value can be compared with another: a tensor cannot."""
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(map(_is_plain, value.values()))
    return value is None or isinstance(value, str | int | float)


def _remedy(name: str) -> str:
    if name == "student":  # most often the network that an interrupted run has already changed
        return "build the student anew, with the same seed, or give another path"
    return "delete it or give another path"


def _short(value: object) -> str:
    """A setting as a reader wants it: fingerprints are cut to what tells them apart."""
    text = repr(value)
    return text if len(text) <= 64 else text[:12] + "…"
