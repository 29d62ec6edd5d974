"""What the numbers of a run depend on besides its parameters; it names no folder, host or user."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kdhelpers._values import short_path
from kdhelpers.course.lessons import CourseError, find_root

PACKAGES = ("kdhelpers", "torch", "torchvision", "numpy", "scikit-learn", "papermill", "ipykernel")


def environment(device: object) -> dict[str, Any]:
    """What the numbers depend on besides the parameters: versions, machine, commit, date (UTC).

    `device` is a `torch.device` or its name; anything else is told in a few words.
    """
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "device": _device(_name(device)),
        "threads": _threads(),
        "versions": _versions(),
        "commit": _commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _name(device: object) -> str:
    return device if isinstance(device, str) else short_path(device)[1:-1]


def _device(name: str) -> str:
    # No tensors here; but where the lesson has loaded torch, it can name the accelerator.
    torch = sys.modules.get("torch")
    if torch and "cuda" in name:
        with suppress(Exception):  # a name that is none: the record tells it as it is
            return f"{name} ({torch.cuda.get_device_name(name)})"
    return name


def _threads() -> int:
    torch = sys.modules.get("torch")
    return int(torch.get_num_threads()) if torch else os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _commit() -> str | None:
    """The course's commit, "-dirty" if tracked files differ; None if it is no repository."""
    try:
        root = find_root()
    except CourseError:
        return None
    if not (root / ".git").exists():  # a copy inside some other repository is not at its commit
        return None
    commit = _git(root, "rev-parse", "HEAD")
    changes = _git(root, "status", "--porcelain", "--untracked-files=no")
    return f"{commit}-dirty" if commit and changes else commit


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, check=True, timeout=20
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
