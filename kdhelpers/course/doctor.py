"""Can the course run on this machine? One line for each thing it needs, with the remedy."""

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from kdhelpers import __version__
from kdhelpers._files import read_text
from kdhelpers.course.notebook import find_lessons
from kdhelpers.course.root import CourseError, find_root, installing

GIB = 1024**3
# GiB of the quick profile, kernel and runner together: most lessons, and the largest.
USUAL_MEMORY, LEAST_MEMORY, LEAST_DISK = 0.9, 1.4, 0.2
SELF, CGROUPS = Path("/proc/self"), Path("/sys/fs/cgroup")
# Limit, use, and the part of it that is given back at need, in version 2 and version 1.
GROUP_FILES = {
    "": ("memory.max", "memory.current", "inactive_file"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
NAMED = ("torch", "torchvision", "papermill", "jupyterlab", "ipykernel")
REINSTALL = f"run {installing('course')}"


@dataclass(frozen=True)
class Check:
    """What was found; if not `ok`, the quick profile cannot run and the text ends in a remedy."""

    ok: bool
    text: str

    def __str__(self) -> str:
        return f"{'ok' if self.ok else '!!'}  {self.text}"


Checks = Iterator[Check]


def examine() -> Checks:
    """All checks, one after the other; none of them raises."""
    checks: list[Callable[[], Checks]] = [
        _python, _installed, _packages, _torch, _torchvision, _launcher, _memory, _disk, _kernel,
        _data, _lessons,
    ]  # fmt: skip
    for check in checks:
        try:
            yield from check()
        except Exception as error:  # a broken installation breaks in unforeseen ways
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
            yield Check(False, f"{check.__name__[1:]}: {reason}; {REINSTALL}")


def _python() -> Checks:
    wanted = importlib.metadata.metadata("kdhelpers")["Requires-Python"]
    found = platform.python_version()
    fits = SpecifierSet(wanted).contains(found, prereleases=True)
    advice = "" if fits else f": install Python {wanted} and make the environment anew"
    yield Check(fits, f"Python {found}{advice}")


def _installed() -> Checks:
    """What pip noted at an installation that is older than the files: its command leads nowhere."""
    noted = importlib.metadata.version("kdhelpers")
    if noted != __version__:
        yield Check(False, f"kdhelpers {__version__} was installed as {noted}: {REINSTALL}")


def _packages() -> Checks:
    """One line for each package that does not fit, one for all that do."""
    versions = {}
    requirements = [*map(Requirement, importlib.metadata.requires("kdhelpers") or [])]
    own = [each for each in requirements if each.name == "kdhelpers" and _of(each, "course")]
    course = {"", *(extra for each in own for extra in each.extras)}
    for requirement in requirements:
        if requirement.name == "kdhelpers" or not any(_of(requirement, each) for each in course):
            continue
        wanted = f"{requirement.name}{requirement.specifier}"
        try:
            found = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            yield Check(False, f"{wanted} is not installed: {REINSTALL}")
            continue
        versions[requirement.name] = found
        if not requirement.specifier.contains(found, prereleases=True):
            yield Check(False, f"{requirement.name} {found}: run `pip install '{wanted}'`")
    named = [f"{name} {versions.pop(name)}" for name in NAMED if name in versions]
    if named:
        yield Check(True, f"{', '.join(named)} and {len(versions)} more packages")


def _of(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _torch() -> Checks:
    import torch

    from kdhelpers.training.devices import kind_and_index

    device, _ = kind_and_index("auto")
    if device == "cuda":
        device = f"cuda ({torch.cuda.get_device_name()})"
    yield Check(True, f"device: {device}, {torch.get_num_threads()} CPU threads")


def _torchvision() -> Checks:
    """Its compiled part: it breaks when torch and torchvision come from different builds."""
    try:
        import torch
        from torchvision.ops import nms

        nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([1.0]), 0.5)
    except Exception as error:
        reason = str(error).partition("\n")[0][:120]
        remedy = "install torch and torchvision together, from the same index"
        yield Check(False, f"torchvision does not work with this torch ({reason}): {remedy}")
    else:
        yield Check(True, "torchvision works with this torch")


def _launcher() -> Checks:
    """Who started this process: every task or rank of a cluster would run the whole lesson."""
    ranks, tasks = (os.environ.get(name, "1") for name in ("WORLD_SIZE", "SLURM_NTASKS"))
    if "TORCHELASTIC_RUN_ID" in os.environ and ranks != "1":
        yield Check(False, f"torchrun started {ranks} processes: start one, without torchrun")
    elif job := os.environ.get("SLURM_JOB_ID"):
        more = "; a lesson needs one: under srun (-n 1) each would run and write all of it"
        yield Check(True, f"SLURM job {job}, tasks: {tasks}{more * (tasks != '1')}")


def _memory() -> Checks:
    memory = psutil.virtual_memory()
    rooms = [(memory.available, memory.total), *_of_groups()]
    free, total = (min(sizes) / GIB for sizes in zip(*rooms, strict=True))
    text = f"memory: {free:.1f} of {total:.1f} GiB free"
    if free < LEAST_MEMORY:
        text += f"; close other programs, the quick profile needs {USUAL_MEMORY:g} GiB in most "
        text += f"lessons, {LEAST_MEMORY:g} in the largest"
    yield Check(free >= LEAST_MEMORY, text)


def _of_groups() -> Iterator[tuple[int, int]]:
    """Free and whole memory of each control group with a limit around us: a container, a job."""
    if not (SELF / "cgroup").exists():  # no Linux
        return
    for line in read_text(SELF / "cgroup").splitlines():
        _, kind, path = line.split(":", 2)
        if kind not in ("", "memory"):
            continue
        most, used, cache = GROUP_FILES[kind]
        inner = CGROUPS / kind / path.lstrip("/")
        for place in (inner, *inner.parents):
            with suppress(OSError, ValueError):  # there is none, or it is "max"
                limit, use = int(read_text(place / most)), int(read_text(place / used))
                found = re.search(rf"^{cache} (\d+)$", read_text(place / "memory.stat"), flags=re.M)
                yield limit - use + int(found.group(1) if found else 0), limit


def _disk() -> Checks:
    here = Path.cwd()
    free = shutil.disk_usage(here).free / GIB
    text = f"disk: {free:.1f} GiB free in {here}"
    if free < LEAST_DISK:
        yield Check(False, f"{text}; make room, a run needs {LEAST_DISK:g} GiB")
    elif reason := _not_writable(here):
        yield Check(False, f"{text}, but {reason}; change folder or use `run --out`")
    else:
        yield Check(True, text)


def _not_writable(folder: Path) -> str:
    """The reason, or "" where files can be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _kernel() -> Checks:
    """A kernel `python3` of the user's own hides the environment's, and runs another Python."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    from jupyter_client.manager import KernelManager
    from jupyter_core.paths import jupyter_runtime_dir

    try:
        command = KernelManager(kernel_name="python3").format_kernel_cmd()[0]
        folder = KernelSpecManager().get_kernel_spec("python3").resource_dir
    except NoSuchKernel:
        remedy = "run `python -m ipykernel install --sys-prefix`"
        yield Check(False, f"there is no Jupyter kernel python3: {remedy}")
        return
    runtime = Path(jupyter_runtime_dir())
    if not _is_this_interpreter(command):
        problem = f"the Jupyter kernel python3 starts {command}, not {sys.executable}"
        yield Check(False, f"{problem}: remove or rename the folder {folder}")
    elif _not_writable(runtime):
        remedy = "set JUPYTER_RUNTIME_DIR to a folder of yours"
        yield Check(False, f"Jupyter cannot write to {runtime}: {remedy}")
    else:
        yield Check(True, "the Jupyter kernel python3 starts this Python")


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


def _data() -> Checks:
    from kdhelpers.data.sources import data_root

    root = data_root()
    for name, files in (
        ("MNIST", ("mnist.pt", "MNIST/raw/train-images-idx3-ubyte")),
        ("CIFAR-10", ("cifar10.pt", "cifar10.npz", "cifar-10-batches-py/data_batch_1")),
    ):
        there = any((root / file).exists() for file in files)
        told = "present" if there else "not there: not needed for the quick profile"
        yield Check(True, f"{name} in {root}: {told}")


def _lessons() -> Checks:
    try:
        folder = find_root() / "notebooks"
    except CourseError as error:
        yield Check(False, str(error))
    else:
        found = find_lessons()
        others = [f"{each.path.name} is {each.made_for}" for each in found if each.made_for]
        yield Check(not others, "; ".join([f"lessons in {folder}: {len(found)}", *others]))
