"""A run on disk: everything needed to go on after the last finished epoch, and nothing else."""

import zipfile
from pathlib import Path
from typing import Any

import torch

from kdhelpers.files import atomic

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
    with atomic(path) as partial:
        try:
            torch.save(content, partial)
        except RuntimeError as error:  # how PyTorch reports a full disk
            raise OSError(f"'{path}' cannot be written ({error}).") from error


def load(path: Path, parts: dict[str, Any], settings: dict[str, Any]) -> list[dict[str, float]]:
    """Put the saved state into `parts` and return the history so far.

    Only tensors and plain values are read (`weights_only`): a file that carries code is
    refused.

    Raises:
        CheckpointError: the file is not a checkpoint of ours, is damaged, or was made with
            other settings.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:  # torch.load does not compare the checksums
                raise zipfile.BadZipFile
        content = torch.load(path, map_location="cpu", weights_only=True)
        kept, history, state = (content[key] for key in ("settings", "history", "state"))
        known = content["format"] == FORMAT
        kept, history, state = dict(kept), list(history), dict(state)
    except Exception as error:
        raise CheckpointError(
            f"'{path}' cannot be read as a checkpoint ({type(error).__name__}); delete it to "
            "start afresh, or give another path."
        ) from error
    if not known:
        raise CheckpointError(f"'{path}' was written by another version; delete it.")
    for name in sorted(settings.keys() | kept.keys()):
        if settings.get(name) != kept.get(name):
            raise CheckpointError(
                f"'{path}' belongs to another run: its {name} is {_short(kept.get(name))}, this "
                f"run has {_short(settings.get(name))}; {_remedy(name)}."
            )
    try:
        complete = {name: state[name] for name in parts}  # before anything is changed
        for name, part in parts.items():
            part.load_state_dict(complete[name])
    except Exception as error:
        raise CheckpointError(
            f"'{path}' does not fit this run ({type(error).__name__}); delete it or give another "
            "path."
        ) from error
    return history


def _remedy(name: str) -> str:
    if name == "student":  # most often the network that an interrupted run has already changed
        return "build the student anew, with the same seed, or give another path"
    return "delete it or give another path"


def _short(value: object) -> str:
    """A setting as a reader wants it: fingerprints are cut to what tells them apart."""
    text = repr(value)
    return text if len(text) <= 64 else text[:12] + "…"
