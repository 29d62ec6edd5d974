"""What is handed out: the sdist is complete, and the wheel alone holds a course that runs."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

from kdhelpers.course.root import ADDRESS

ROOT = Path(__file__).parent.parent
LOCAL = {".git", ".venv", "runs", "data", "learn", "build", "dist", "kdhelpers.egg-info"}
SMALL = ["steps=2", "teacher_epochs=1", "transfer_sizes=[50]", "seeds=[0]"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was made of it alone, without a network."""
    folder = tmp_path_factory.mktemp("dist")
    source = shutil.copytree(
        ROOT,
        folder / "source",
        ignore=lambda at, _: LOCAL if Path(at) == ROOT else {"__pycache__"},
    )
    for kind in ("sdist", "wheel"):
        make = f"from setuptools import build_meta as b; b.build_{kind}({str(folder)!r})"
        subprocess.run([sys.executable, "-c", make], cwd=source, capture_output=True, check=True)
        for archive in folder.glob("*.tar.gz"):
            with tarfile.open(archive) as sdist:
                sdist.extractall(folder, filter="data")
            (source,) = folder.glob("kdhelpers-*[0-9]")
    return folder


def test_the_sdist_has_every_file_of_the_project(built: Path) -> None:
    (source,) = built.glob("kdhelpers-*[0-9]")
    ask = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    tracked = {name for name in ask.stdout.split("\0") if name and (ROOT / name).exists()}
    assert not {name for name in tracked if not (source / name).is_file()}
    assert (source / "tests" / "test_wheel.py").is_file()


def test_the_wheel_holds_the_course_and_says_who_made_it(built: Path) -> None:
    (path,) = built.glob("*.whl")
    assert path.stat().st_size < 8e6
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        told = message_from_string(wheel.read(metadata).decode())
        lesson = json.loads(wheel.read("kdhelpers/course/material/notebooks/01_mnist_kd.ipynb"))
    assert {name.split("/")[0] for name in names} == {"kdhelpers", metadata.split("/")[0]}
    for kind in ("notebooks/*.ipynb", "notebooks/profiles/*/*.yaml", "results/*.json"):
        wanted = {path.relative_to(ROOT).as_posix() for path in ROOT.glob(kind)}
        assert {f"kdhelpers/course/material/{name}" for name in wanted} <= names
    own = [path.relative_to(ROOT).as_posix() for path in ROOT.glob("kdhelpers/**/*.*")]
    assert {name for name in own if "__pycache__" not in name} <= names
    assert not any(cell.get("outputs") for cell in lesson["cells"])
    assert told["Author"] == "The kdhelpers authors"
    assert len(told.get_all("Classifier")) > 5
    assert bool(told.get_all("Project-URL")) == bool(ADDRESS)
    links = re.findall(r"\]\(([^)\s]+)\)", str(told.get_payload()))
    assert all(re.match(r"https?://|#", link) for link in links)


def test_the_wheel_alone_starts_a_course_and_runs_a_lesson(built: Path, tmp_path: Path) -> None:
    """In an environment of its own, which borrows the dependencies, in an empty folder."""
    venv.create(tmp_path / "env")
    place = {"base": str(tmp_path / "env"), "platbase": str(tmp_path / "env")}
    scripts, site = (Path(sysconfig.get_path(n, "venv", place)) for n in ("scripts", "purelib"))
    libraries = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    (site / "borrowed.pth").write_text("\n".join(libraries))  # and not what its .pth files add
    (wheel,) = built.glob("*.whl")
    (empty := tmp_path / "empty").mkdir()
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}

    def ran(command: str, *arguments: str, folder: Path = empty) -> tuple[int, str]:
        done = subprocess.run([scripts / command, *arguments], cwd=folder, env=environment,
                              capture_output=True, text=True, timeout=600)  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    install = [sys.executable, "-m", "pip", f"--python={scripts / 'python'}", "install", "--quiet"]
    subprocess.run([*install, "--no-index", "--no-deps", str(wheel)], env=environment, check=True)
    alone = """
import kdhelpers as kd
print(kd.__file__)
lesson = kd.lesson("01_mnist_kd", {"steps": 1, "__annotations__": {"steps": int}})
print(lesson.recorded()[0]["parameters"]["dataset"])
"""
    code, told = ran("python", "-c", alone)
    place, *recorded = told.splitlines()
    assert Path(place).is_relative_to(site.resolve()), told
    assert (code, recorded) == (0, ["mnist"])
    code, told = ran("kdhelpers", "list")
    assert (code, told.count("\n")) == (2, 1)
    assert "`kdhelpers start course` brings them into the folder course" in told
    code, told = ran("kdhelpers", "start")
    assert (code, told.splitlines()[-2]) == (0, "  cd course")
    course = empty / "course"
    options = [word for each in SMALL for word in ("-p", each)]
    code, told = ran("kdhelpers", "run", "01", *options, folder=course)
    assert code == 0, told
    assert (course / "runs" / "01_mnist_kd.json").is_file()
