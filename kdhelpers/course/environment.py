"""What a record's numbers depend on besides the parameters: versions, machine, commit, date."""

import platform
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kdhelpers._values import processors, short_path
from kdhelpers.course.root import CourseError, find_root

PACKAGES = ("kdhelpers", "torch", "torchvision", "numpy", "scikit-learn", "papermill", "ipykernel")


def environment(device: object) -> dict[str, Any]:
    """Versions, machine, commit, date (UTC); `device` is a `torch.device` or its name."""
    name = device if isinstance(device, str) else short_path(device)[1:-1]
    torch = sys.modules.get("torch")  # no tensors here, but the lesson may have loaded it
    if torch and "cuda" in name:
        with suppress(Exception):  # a name that is none: the record tells it as it is
            name = f"{name} ({torch.cuda.get_device_name(name)})"
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "device": name,
        "threads": int(torch.get_num_threads()) if torch else processors(),
        "versions": _versions(),
        "commit": _commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def provenance(record: Mapping[str, Any]) -> str:
    """One sentence on where a record comes from: data, seeds, device, versions, date, commit.

    It leaves out data and seeds where the record's parameters do not name them. Of a record that
    is joined from parts it tells the time of all parts.
    """
    parameters, environment = record["parameters"], record["environment"]
    versions = environment.get("versions")
    torch = versions.get("torch") if isinstance(versions, Mapping) else None
    parts, seeds = record["metrics"].get("parts"), parameters.get("seeds")
    seconds = parts["seconds"] if parts else record["seconds"]
    took = f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"
    threads, commit = environment.get("threads", "unknown"), str(environment.get("commit") or "")
    told = [
        str(parameters.get("dataset", "")),
        f"{len(seeds)} seeds" if isinstance(seeds, list) else "",
        str(environment.get("device", "unknown device")),
        f"{threads} thread{'s' * (threads != 1)}",
        f"PyTorch {torch or 'unknown'}",
        f"{parts['count']} trainings of {took} together" if parts else took,
        str(environment.get("date", "no date"))[:10],
        f"commit {commit[:12] or 'unknown'}{' with changes' * commit.endswith('-dirty')}",
    ]
    return ", ".join(filter(None, told))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    import importlib.metadata  # `kdhelpers list` need not wait for it

    versions = {}
    for package in PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions


def _commit() -> str | None:
    """The course's commit, "-dirty" if tracked files differ; None if it is no repository."""
    try:
        root = find_root()
    except CourseError:
        return None
    if not (root / ".git").exists():  # a copy inside some other repository is not at its commit
        return None
    ask = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        told = subprocess.run(ask, cwd=root, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return told.stdout.strip()
