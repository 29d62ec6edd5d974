"""Whatever is handed over, a call works or raises the error that it documents, never another.

`hostile_table.py` says for every public callable how to call it; `hostile_values.py` has what an
adversary hands over and the rule. A new public callable has to be put into the table, or below,
with the reason why not.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.error import URLError

import pytest
import torch
from hostile_figures import drawn
from hostile_table import TABLE, Row
from hostile_values import MADE_UP, check, instead_of, raised_by_the_package
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from lightning_fabric import fabric
from tiny_course import PARAMETERS, write_lesson

import kdhelpers
from kdhelpers import environment, files, sources

WHOLE_MODULES = {
    "checks": "takes functions of learners, and test_checks*.py attacks it with theirs",
    "cli": "takes the words of a command line; test_cli.py and test_hostile_files.py",
    "cli_sweep": "as cli",
    "doctor": "takes nothing",
    "epochs": "what fit does with what it has checked",
    "failures": "takes the exceptions of notebooks; test_course.py",
    "loop": "made by fit, from what it has checked",
    "preflight": "the checks of fit, which are attacked through it",
    "processes": "an executor of the standard library's kind; test_processes.py",
    "readme": "takes the course's own records",
    "sweep_plots": "draws what sweep_tables has read; test_hostile_files.py",
}
HOLDS = "holds what its maker gives it"
OBJECTIVE = "fit calls it, with arguments that it has checked"
PLANNED = "takes what plan has checked"
LISTED = "takes what sweep has checked"
LEFT_OUT = {
    **dict.fromkeys(("comparisons.Comparison", "batching.Batch", "data.DataSet"), HOLDS),
    **dict.fromkeys(
        ("evaluation.Size", "fitnets.Network", "grids.Point", "lessons.Parameter"), HOLDS
    ),
    **dict.fromkeys(
        ("photodigits.Pictures", "plots.Picture", "report.Section", "sources.Arrays"), HOLDS
    ),
    **dict.fromkeys(("stats.Interval", "sweep_tables.Row", "sweeps.SweepResult"), HOLDS),
    **dict.fromkeys(("course.Outcome", "plans.Plan", "tables.Table"), HOLDS),
    "together.Students": "a list of PyTorch's; fit_together checks what it puts there",
    **dict.fromkeys(("course.run", "course.execute"), PLANNED + "; running is for test_course.py"),
    "plans.folder_name": PLANNED,
    "lessons.Lesson.profile": "names a file, which need not be there",
    **dict.fromkeys(("lessons.did_you_mean", "lessons.for_papermill"), "ends a sentence, quotes"),
    "lessons.wanted": "is a check itself",
    **dict.fromkeys(("pretrained.trained", "pretrained.save", "pretrained.main"), "a script"),
    "devices.in_processes": "starts processes; fit checks first, and test_training_options.py",
    **dict.fromkeys(
        (f"sweep_tables.{n}" for n in ("clear", "columns", "finished", "point_folder")), LISTED
    ),
    **dict.fromkeys(
        (f"sweep_tables.{n}" for n in ("is_drawable", "is_per_seed", "seed_count")), LISTED
    ),
    **dict.fromkeys(
        (f"sweep_tables.{n}" for n in ("write_failure", "write_list", "write_tables")), LISTED
    ),
    **dict.fromkeys(("report.render", "report.of_sweep"), "takes what report has read"),
    "records.without_folders": "hands back whatever is no path",
    "sources.content_sha256": "takes the arrays that were just read",
    "files.atomic": "attacked through write_bytes",
    "parallel.run_arms": "calls what it is given; test_parallel.py",
    "parallel.check_no_dropout": "fit calls it, with a network",
    "sliders.Slider.widget": "takes nothing",
    "tables.made_of": "marks functions of the package",
    "temperature.at": "hands back what it is given; check is for that",
    "temperature.LearnedTemperature.extra_repr": "takes nothing",
    "distillation.Objective": "what the objectives have in common",
    "records.read_json": "attacked through read_record",
    **dict.fromkeys(("prediction.ask", "prediction.taking"), "attacked through predict"),
}
# Methods that every module of PyTorch, or every objective, has: the row of the class calls them.
PROTOCOL = {"forward", "__call__", "prepare", "start_epoch", "figures", "settings", "extra_repr"}
PROTOCOL |= {"temperature_now", "name", "row_of", "ask", "check"}

quick = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
each_row = pytest.mark.parametrize("name", TABLE)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty course to work in; nothing is written or asked for elsewhere, or takes long."""
    write_lesson(tmp_path, "01_lesson", parameters=PARAMETERS + "seed: int = 0\n")
    monkeypatch.chdir(tmp_path)

    def offline(*_: Any, **__: Any) -> None:
        raise URLError("no network")

    monkeypatch.setattr(sources, "_FETCH", {"mnist": offline, "cifar10": offline})
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    monkeypatch.setattr(environment, "_commit", lambda: None)
    monkeypatch.setattr(environment, "_versions", dict)
    monkeypatch.setattr(fabric, "_load_external_callbacks", lambda group: [])
    for flush in ("_flush", "_flush_folder"):
        monkeypatch.setattr(files, flush, lambda path: None)
    return tmp_path


def attacks(row: Row) -> Iterator[tuple[str, dict[str, Any]]]:
    """Valid arguments with one of them replaced."""
    for name, value in row.make().items():
        if name in row.left:
            continue
        for told, make in instead_of(value, slow=row.slow).items():
            if f"{name}: {told}" not in row.skipped:
                yield f"{name}: {told}", row.make() | {name: make()}


@each_row
@pytest.mark.filterwarnings("ignore")
def test_one_wrong_argument(name: str) -> None:
    row, found = TABLE[name], []
    for told, arguments in attacks(row):
        if problem := check(row.call, arguments, row.errors):
            found.append(f"{told} → {problem}")
    assert not found, f"{len(found)} answers break the rule:\n" + "\n".join(found)


@each_row
@quick
@given(data=st.data())
@pytest.mark.filterwarnings("ignore")
def test_right_arguments(name: str, data: st.DataObject) -> None:
    row = TABLE[name]
    draws = {key: data.draw(strategy, key) for key, strategy in row.draws.items()}
    assert check(row.call, row.make(**draws), row.errors if row.refused else ()) == ""


@each_row
@quick
@given(data=st.data())
@pytest.mark.filterwarnings("ignore")
def test_several_wrong_arguments(name: str, data: st.DataObject) -> None:
    row = TABLE[name]
    arguments = row.make()
    safe = [key for key in arguments if not row.spares(key)]
    for key in data.draw(st.lists(st.sampled_from(safe), unique=True) if safe else st.just([])):
        arguments[key] = data.draw(MADE_UP, key)
    assert check(row.call, arguments, row.errors) == ""


# -- nothing is forgotten -------------------------------------------------------------------------


def modules() -> dict[str, ModuleType]:
    names = [info.name for info in pkgutil.iter_modules(kdhelpers.__path__)]
    public = [name for name in names if not name.startswith("_")]
    return {name: importlib.import_module(f"kdhelpers.{name}") for name in public}


def public_callables(name: str, module: ModuleType) -> Iterator[str]:
    """Functions and classes that a module defines, and the methods that only it has."""
    for each in getattr(module, "__all__", [n for n in vars(module) if not n.startswith("_")]):
        found = getattr(module, each)
        home = getattr(found, "__module__", "")
        own = home == module.__name__ or home.startswith(f"{module.__name__}.")  # of a package
        if not own or not (inspect.isfunction(found) or inspect.isclass(found)):
            continue
        if inspect.isclass(found) and issubclass(found, Exception):
            continue
        yield f"{name}.{each}"
        for method, value in vars(found).items() if inspect.isclass(found) else ():
            routine = inspect.isfunction(value) or isinstance(value, classmethod | staticmethod)
            if routine and (not method.startswith("_") or method in PROTOCOL):
                yield f"{name}.{each}.{method}"


def test_every_public_callable_is_attacked_or_left_out_for_a_reason() -> None:
    known = modules()
    assert WHOLE_MODULES.keys() <= known.keys()
    found = {
        each
        for name, module in known.items()
        if name not in WHOLE_MODULES
        for each in public_callables(name, module)
    }
    known_here = TABLE.keys() | LEFT_OUT.keys()
    methods = {each for each in found if each.count(".") == 2 and each.split(".")[2] in PROTOCOL}
    assert found - known_here - methods == set()
    assert known_here - found == set(), "these are no more"
    assert not TABLE.keys() & LEFT_OUT.keys()


# -- the rule can be broken -----------------------------------------------------------------------


def silent(value: float) -> float:
    return float("nan") * value


def careless(value: Any) -> int:
    return len(value)


def nameless(value: Any) -> None:
    raise ValueError(f"no {value}.")


def long_winded(value: Any) -> None:
    sources.choice(value, ["a" * 1000], name="value")


@pytest.mark.parametrize(
    ("call", "errors", "problem"),
    [
        (silent, (ValueError,), "silently returned nan"),
        (careless, (ValueError,), "undocumented TypeError"),
        (careless, (TypeError,), "let happen TypeError"),
        (long_winded, (ValueError,), "no sentence"),
        (long_winded, (TypeError,), "undocumented ValueError"),
        (drawn(nameless), (ValueError,), "undocumented AssertionError: 'the refusal does not name"),
        (drawn(silent), (ValueError,), "undocumented AssertionError"),
    ],
)
def test_what_breaks_the_rule_is_seen(call: Any, errors: Any, problem: str) -> None:
    assert check(call, {"value": 1.0}, errors).startswith(problem)


def test_only_our_own_raise_statements_count() -> None:
    import traceback

    file = str(Path(kdhelpers.__file__).parent / "_values.py")
    lines = Path(file).read_text(encoding="utf-8").splitlines()
    raising = next(
        at for at, line in enumerate(lines, start=1) if line.strip().startswith("raise ")
    )
    assert raised_by_the_package(traceback.FrameSummary(file, raising, "whole"))
    assert not raised_by_the_package(traceback.FrameSummary(file, 1, "whole"))
    assert not raised_by_the_package(traceback.FrameSummary(__file__, raising, "test"))
