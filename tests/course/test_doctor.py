"""Whether the doctor sees what is wrong, and names the remedy."""

import importlib.metadata
import json
import shutil
import sys
from collections import namedtuple
from pathlib import Path

import nbformat
import psutil
import pytest
from tiny_course import write_lesson

from kdhelpers.course import doctor
from kdhelpers.course import root as roots


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_lesson(tmp_path, "01_first")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KDHELPERS_DATA", raising=False)
    monkeypatch.setattr(doctor, "__version__", importlib.metadata.version("kdhelpers"))
    return tmp_path


def problems() -> list[str]:
    return [check.text for check in doctor.examine() if not check.ok]


def test_this_machine_can_run_the_course(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = list(doctor.examine())
    assert [check.text for check in checks if not check.ok] == []
    lines = [str(check) for check in checks]
    assert all(line.startswith("ok  ") and "\n" not in line for line in lines)
    text = "\n".join(lines)
    for word in ("Python 3.", "torch 2", "papermill 2", "device: ", "memory: ", "disk: "):
        assert word in text
    assert "the Jupyter kernel python3 starts this Python" in text
    assert f"MNIST in {root / 'data'}: not there: not needed for the quick profile" in text
    assert f"lessons in {root / 'notebooks'}: 1" in text
    monkeypatch.setenv("KDHELPERS_DATA", str(root / "Daten"))
    (root / "Daten").mkdir()
    (root / "Daten" / "cifar10.npz").touch()
    lines = [check.text for check in doctor.examine()]
    assert f"MNIST in {root / 'Daten'}: not there: not needed for the quick profile" in lines
    assert f"CIFAR-10 in {root / 'Daten'}: present" in lines


def test_packages_that_are_missing_or_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["torch>=99", "no-such-package>=1", "numpy>=1.26", 'nothing; extra == "test"']
    wanted += ['kdhelpers[lab]; extra == "course"', 'no-such-lab>=2; extra == "lab"']
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: wanted)
    version = importlib.metadata.version("torch")
    assert problems() == [
        f"torch {version}: run `pip install 'torch>=99'`",
        f"no-such-package>=1 is not installed: {doctor.REINSTALL}",
        f"no-such-lab>=2 is not installed: {doctor.REINSTALL}",
    ]


def test_an_installation_older_than_the_files_or_than_its_notebooks(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "__version__", "7.1.0")
    path = write_lesson(root, "02_second", 'kd.made_for("99.0")')
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[-1].metadata.tags = ["install"]
    nbformat.write(notebook, path)
    stale, newer = problems()
    assert stale.startswith("kdhelpers 7.1.0 was installed as 0.")
    assert stale.endswith(doctor.REINSTALL)
    assert newer.startswith(f"lessons in {root / 'notebooks'}: 2; 02_second.ipynb is made for")


def test_torchvision_that_does_not_fit_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision.ops", None)
    assert len(problems()) == 1
    assert "torchvision does not work with this torch" in problems()[0]
    assert problems()[0].endswith("install torch and torchvision together, from the same index")


def test_a_kernel_of_the_user_s_own_that_starts_another_python(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = root / "bin" / "python3"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\necho some other Python\n")
    other.chmod(0o755)
    folder = root / "jupyter" / "kernels" / "python3"
    folder.mkdir(parents=True)
    spec = {"argv": [str(other), "-m", "ipykernel_launcher", "-f", "{connection_file}"]}
    spec |= {"display_name": "mine", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(root / "jupyter"))
    assert problems() == [
        f"the Jupyter kernel python3 starts {other}, not {sys.executable}: "
        f"remove or rename the folder {folder}"
    ]
    # a second way to this very interpreter is no problem
    other.unlink()
    other.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    other.chmod(0o755)
    assert problems() == []


def test_a_machine_without_room(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = namedtuple("memory", ["available", "total"])
    usage = namedtuple("usage", ["free"])
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory(2**28, 2**33))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2**20))
    low_memory, low_disk = problems()
    assert low_memory.startswith("memory: 0.2 of 8.0 GiB free; close other programs")
    assert low_disk.startswith("disk: 0.0 GiB free in ")


@pytest.mark.parametrize("version", [1, 2])
def test_a_container_s_or_a_job_s_limit_counts(
    root: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    kind, *names, cache = ("", "memory.max", "memory.current", "inactive_file")
    if version == 1:
        kind, *names, cache = ("memory", *doctor.GROUP_FILES["memory"])
    outer = root / "groups" / kind / "job"
    (outer / "inner").mkdir(parents=True)
    for name, size in zip(names, (2 * 2**30, 2**30), strict=True):
        (outer / name).write_text(f"{size}\n")
    (outer / "memory.stat").write_text(f"anon 1\n{cache} {2**28}\n")
    (outer / "inner" / "memory.max").write_text("max\n")
    (root / "cgroup").write_text(f"7:cpu:/x\n0:{kind}:/job/inner\n")
    monkeypatch.setattr(doctor, "SELF", root)
    monkeypatch.setattr(doctor, "CGROUPS", root / "groups")
    (found,) = doctor._memory()
    assert found.text.startswith("memory: 1.2 of 2.0 GiB free; close other programs, the quick ")
    assert found.text.endswith("needs 0.9 GiB in most lessons, 1.4 in the largest")
    (outer / names[0]).write_text(str(3 * 2**30))
    assert [check.ok for check in doctor._memory()] == [True]


def test_no_lessons(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roots, "__file__", str(root / "a" / "b" / "c" / "d.py"))
    shutil.rmtree(root / "notebooks")
    assert len(problems()) == 1
    assert problems()[0].startswith("no lessons found at or above")


def test_a_check_that_breaks_is_a_line_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise OSError("libfoo.so is missing\nwith details")

    monkeypatch.setattr(psutil, "virtual_memory", broken)
    assert problems() == [f"memory: OSError: libfoo.so is missing; {doctor.REINSTALL}"]


@pytest.mark.usefixtures("in_slurm")
def test_a_cluster_is_told_and_many_ranks_are_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [check for check in doctor.examine() if "SLURM" in check.text]
    assert [check.ok for check in told] == [True]
    assert "SLURM job 1, tasks: 4; a lesson needs one" in told[0].text
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert problems() == ["torchrun started 2 processes: start one, without torchrun"]
