"""Can the course run on this machine? One line for each thing it needs, with the remedy."""

import importlib.metadata
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet

from kdhelpers.course.notebook import find_lessons
from kdhelpers.course.root import CourseError, find_root

GIB = 1024**3
LEAST_MEMORY, LEAST_DISK = 1.4, 0.2  # GiB; the quick profile stays below
CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
NAMED = ("torch", "torchvision", "lightning-fabric", "papermill", "jupyterlab", "ipykernel")
REINSTALL = "run `pip install -e .` (or `make run`) in the folder of the course"


@dataclass(frozen=True)
class Check:
    """What was found; if not `ok`, the quick profile cannot run and the text ends in a remedy."""

    ok: bool
    text: str

    def __str__(self) -> str:
        return f"{'ok' if self.ok else '!!'}  {self.text}"


def examine() -> Iterator[Check]:
    """All checks, one after the other; none of them raises."""
    checks: list[Callable[[], list[Check]]] = [
        _python, _packages, _torch, _torchvision, _launcher, _memory, _disk, _kernel, _data,
        _lessons,
    ]  # fmt: skip
    for check in checks:
        try:
            yield from check()
        except Exception as error:  # a broken installation breaks in unforeseen ways
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
            yield Check(False, f"{check.__name__[1:]}: {reason}; {REINSTALL}")


def _python() -> list[Check]:
    wanted = importlib.metadata.metadata("kdhelpers")["Requires-Python"]
    found = platform.python_version()
    if SpecifierSet(wanted).contains(found, prereleases=True):
        return [Check(True, f"Python {found}")]
    return [Check(False, f"Python {found}: install Python {wanted} and make the environment anew")]


def _packages() -> list[Check]:
    """One line for all packages that fit, one for each that does not."""
    problems, versions = [], {}
    for line in importlib.metadata.requires("kdhelpers") or []:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        wanted = f"{requirement.name}{requirement.specifier}"
        try:
            found = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            problems.append(Check(False, f"{wanted} is not installed: {REINSTALL}"))
            continue
        versions[requirement.name] = found
        if not requirement.specifier.contains(found, prereleases=True):
            remedy = f"run `pip install '{wanted}'`"
            problems.append(Check(False, f"{requirement.name} {found}: {remedy}"))
    named = [f"{name} {versions.pop(name)}" for name in NAMED if name in versions]
    summary = f"{', '.join(named)} and {len(versions)} more packages"
    return [*problems, Check(True, summary)] if named else problems


def _torch() -> list[Check]:
    import torch

    if torch.cuda.is_available():
        device = f"cuda ({torch.cuda.get_device_name()})"
    elif torch.backends.mps.is_available():
        device = "mps"
    else:
        device = "cpu"
    return [Check(True, f"device: {device}, {torch.get_num_threads()} CPU threads")]


def _torchvision() -> list[Check]:
    """Its compiled part: it breaks when torch and torchvision come from different builds."""
    try:
        import torch
        from torchvision.ops import nms

        nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([1.0]), 0.5)
    except Exception as error:
        reason = str(error).partition("\n")[0][:120]
        remedy = "install torch and torchvision together, from the same index"
        return [Check(False, f"torchvision does not work with this torch ({reason}): {remedy}")]
    return [Check(True, "torchvision works with this torch")]


def _launcher() -> list[Check]:
    """Who started this process: every task or rank of a cluster would run the whole lesson."""
    ranks, tasks = (os.environ.get(name, "1") for name in ("WORLD_SIZE", "SLURM_NTASKS"))
    if "TORCHELASTIC_RUN_ID" in os.environ and ranks != "1":
        return [Check(False, f"torchrun started {ranks} processes: start one, without torchrun")]
    if "SLURM_JOB_ID" not in os.environ:
        return []
    text = f"SLURM job {os.environ['SLURM_JOB_ID']}, tasks: {tasks}"
    if tasks != "1":
        text += "; a lesson needs one: under srun (-n 1) each would run and write all of it"
    return [Check(True, text)]


def _memory() -> list[Check]:
    memory = psutil.virtual_memory()
    free, total = (min(size, _container_limit()) / GIB for size in (memory.available, memory.total))
    text = f"memory: {free:.1f} of {total:.1f} GiB free"
    if free < LEAST_MEMORY:
        text += f"; close other programs, the quick profile needs {LEAST_MEMORY:g} GiB"
    return [Check(free >= LEAST_MEMORY, text)]


def _container_limit() -> float:
    """The limit of this container's memory in bytes; infinite without one."""
    for file in CGROUPS:
        with suppress(OSError, ValueError):  # "max" is no number
            return int(Path(file).read_text(encoding="utf-8"))
    return math.inf


def _disk() -> list[Check]:
    here = Path.cwd()
    free = shutil.disk_usage(here).free / GIB
    text = f"disk: {free:.1f} GiB free in {here}"
    if free < LEAST_DISK:
        return [Check(False, f"{text}; make room, a run needs {LEAST_DISK:g} GiB")]
    try:
        tempfile.TemporaryFile(dir=here).close()
    except OSError as error:
        reason = error.strerror or str(error)
        return [Check(False, f"{text}, but {reason}; change folder or use `run --out`")]
    return [Check(True, text)]


def _kernel() -> list[Check]:
    """A kernel `python3` of the user's own hides the environment's, and runs another Python."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    from jupyter_client.manager import KernelManager
    from jupyter_core.paths import jupyter_runtime_dir

    try:
        command = KernelManager(kernel_name="python3").format_kernel_cmd()[0]
        folder = KernelSpecManager().get_kernel_spec("python3").resource_dir
    except NoSuchKernel:
        remedy = "run `python -m ipykernel install --sys-prefix`"
        return [Check(False, f"there is no Jupyter kernel python3: {remedy}")]
    if not _is_this_interpreter(command):
        problem = f"the Jupyter kernel python3 starts {command}, not {sys.executable}"
        return [Check(False, f"{problem}: remove or rename the folder {folder}")]
    runtime = Path(jupyter_runtime_dir())
    try:
        runtime.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=runtime).close()
    except OSError:
        remedy = "set JUPYTER_RUNTIME_DIR to a folder of yours"
        return [Check(False, f"Jupyter cannot write to {runtime}: {remedy}")]
    return [Check(True, "the Jupyter kernel python3 starts this Python")]


def _is_this_interpreter(command: str) -> bool:
    if command == sys.executable:
        return True
    # Another path may lead here (python, python3.11, a link); the environment tells.
    ask = [command, "-c", "import sys; print(sys.prefix, sys.version)"]
    try:
        answer = subprocess.run(ask, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return False
    return answer.strip() == f"{sys.prefix} {sys.version}".strip()


def _data() -> list[Check]:
    from kdhelpers.data.sources import data_root

    root = data_root()
    where = {
        "MNIST": ("mnist.pt", "MNIST/raw/train-images-idx3-ubyte"),
        "CIFAR-10": ("cifar10.pt", "cifar10.npz"),
    }
    return [
        Check(True, f"{name} in {root}: {'present' if present else 'not there'}{note}")
        for name, files in where.items()
        for present in [any((root / file).exists() for file in files)]
        for note in ["" if present else ": not needed for the quick profile"]
    ]


def _lessons() -> list[Check]:
    try:
        root = find_root()
        found = find_lessons(root=root)
    except CourseError as error:
        return [Check(False, str(error))]
    return [Check(True, f"lessons in {root / 'notebooks'}: {len(found)}")]
