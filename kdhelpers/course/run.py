"""Run the lessons: plan them, with every parameter checked, and execute them with papermill.

A value comes from four places, the later before the earlier: the notebook's own, the profile's, a
file's and the caller's. Nothing is executed before everything asked for has been checked.
"""

import glob
import hashlib
import json
import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from kdhelpers._values import is_number, require, short_path, short_repr
from kdhelpers.course import records
from kdhelpers.course.lesson import Notebook, convert, did_you_mean, find_lessons
from kdhelpers.course.records import RECORD_FILE, CourseError, unless_lost, wanted

__all__ = ["Outcome", "Plan", "execute", "folder_name", "plan", "prepare_folder", "refine", "run"]

CHECKPOINTS = "checkpoint_dir"
WHERE = ("data_root", "device", "devices", "workers")  # where networks train, not which
DEEPEST = 50  # values inside of values in YAML

KERNEL = "python3"  # whatever name an editor stored in the notebook
START = 120  # seconds that a kernel may take to start, on a crowded machine
STARTS = 3  # at once two kernels may be given one port, and the second of them does not start
# The kernel's own log would go to the terminal: a warning about TCP at every start (since
# ipykernel 7.3), now and then an error about being stopped, which it may also log as Tornado's.
# Errors in cells do not go there.
QUIET = (
    "--log-level=CRITICAL",
    "--IPKernelApp.exec_lines=__import__('logging').getLogger('tornado').setLevel('CRITICAL')",
)
CONTEXT, MESSAGE_LINES = 2, 3  # lines of a failed cell on each side, lines of its error
DIED = "the kernel died (killed, out of memory, or a crash in compiled code)"
COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


# -- what is to be run ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """A lesson with checked parameters: `values` are those that differ from the notebook's own."""

    lesson: Notebook
    profile: str
    values: dict[str, Any]

    @property
    def parameters(self) -> dict[str, Any]:
        """All parameters, the notebook's defaults included; `record_file` is the runner's own."""
        declared = self.lesson.parameters.values()
        return {p.name: p.default for p in declared if p.name != RECORD_FILE} | self.values

    @property
    def identity(self) -> dict[str, Any]:
        """What makes two runs the same: records tell it, and `records.belongs_to` compares it."""
        lesson = self.lesson
        return {"notebook": lesson.name, "profile": self.profile, "lesson": lesson.digest,
                "parameters": self.parameters}  # fmt: skip


def plan(
    lessons: str | Path | Sequence[str | Path] = (),
    *,
    profile: str = "quick",
    parameters: Mapping[str, Any] | None = None,
    parameter_file: str | Path | None = None,
) -> list[Plan]:
    """Find the lessons and check every parameter by name and type; arguments as for `run`.

    Raises:
        CourseError: a lesson, profile, file or parameter does not exist, a value does not fit, or
            an argument is of another type.
    """
    wanted(profile, str, name="profile")
    wanted(parameters, Mapping, type(None), name="parameters")
    wanted(parameter_file, str, Path, type(None), name="parameter_file")
    chosen = find_lessons(lessons)
    layers = [_from_file(Path(parameter_file))] if parameter_file else []
    layers.append(("", dict(parameters or {})))
    known = {name for lesson in chosen for name in lesson.parameters}
    for layer in layers:
        _check_names(layer, known)
    planned = []
    for lesson in chosen:
        hint = did_you_mean(profile[:100], lesson.profiles)
        told = f"{lesson.name} has no profile {short_repr(profile)}{hint}"
        require(profile in lesson.profiles, told, CourseError)
        one = Plan(lesson, profile, {})
        if profile != "quick":
            source, own = _from_file(lesson.profile(profile))
            one = refine(one, own, source)
        for layer in layers:
            one = _with(one, layer)
        planned.append(one)
    return planned


def refine(plan: Plan, parameters: Mapping[str, Any], source: str = "") -> Plan:
    """The plan with further values, checked in the same way, that go before its own.

    `source` begins what is said of them: a file.

    Raises:
        CourseError: the lesson has no such parameter, or a value does not fit.
    """
    layer = (source, dict(parameters))
    _check_names(layer, set(plan.lesson.parameters))
    return _with(plan, layer)


# Parameters from one source; its name begins the error message: a file, or nothing.
_Layer = tuple[str, dict[str, Any]]


def _check_names(layer: _Layer, known: set[str]) -> None:
    source, values = layer
    own = f"{source}{RECORD_FILE!r} is set by the runner; choose the folder of the records with"
    require(RECORD_FILE not in values, f"{own} --out (out_dir)", CourseError)
    if unknown := [name for name in values if name not in known]:
        hint = did_you_mean(short_repr(unknown[0]).strip("'"), sorted(known - {RECORD_FILE}))
        raise CourseError(f"{source}unknown parameter {short_repr(unknown[0])}{hint}")


def _with(plan: Plan, layer: _Layer) -> Plan:
    """The plan with those values of a layer that its lesson has."""
    source, given = layer
    values = {}
    for name, declared in plan.lesson.parameters.items():
        if name not in given:
            continue
        value = given[name]
        try:
            if isinstance(value, str) and declared.type not in ("int", "float", "bool", "str"):
                with suppress(ValueError):  # then text is what does not fit
                    value = _parse(value)
            values[name] = convert(value, declared.type)
        except ValueError as error:
            where = f"{source}parameter {name!r} of {plan.lesson.name}"
            raise CourseError(f"{where} {error}") from error
    return replace(plan, values=plan.values | _checkpoints_apart(plan.parameters, values))


def _checkpoints_apart(before: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """The values, with a folder of their own for checkpoints if other networks come of them.

    A checkpoint goes on with the settings that it was made with, and its file is named after the
    network alone: a student of T = 8 would find that of T = 4. Files do tell seeds apart.
    """
    others = {
        name: value
        for name, value in values.items()
        if value != before.get(name) and not name.endswith(("seed", "seeds")) and name not in WHERE
    }
    folder = before.get(CHECKPOINTS)
    if not folder or not others or CHECKPOINTS in values:
        return values
    return values | {CHECKPOINTS: f"{folder}/{folder_name(others, others)}"}


def folder_name(values: Mapping[str, Any], identity: object) -> str:
    """A folder's name that tells some values, made unique by a hash of what it stands for."""
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    words = ",".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in values.items()
    )
    return f"{re.sub(r'[^A-Za-z0-9._=,+-]+', '_', words)[:60]}-{digest[:12]}"


def _from_file(path: Path) -> _Layer:
    """The parameters in a YAML file; an empty file has none, as with `papermill -f`."""
    told = short_path(path)[1:-1]
    try:
        content = _parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CourseError(f"{told} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CourseError(f"{told} is not UTF-8 text") from error
    except ValueError as error:
        raise CourseError(f"{told} is not valid YAML ({error})") from error
    content = {} if content is None else content
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise CourseError(f"{told} must map parameter names to values, one 'name: value' a line")
    return f"{told}: ", content


class _Loader(yaml.SafeLoader):
    """YAML as papermill reads it (dates stay text), without aliases, which can grow endlessly, and
    without a key that stands twice, of which one would be lost unseen.
    """

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise ValueError("aliases such as *name are not supported")
        self.depth += 1
        if self.depth > DEEPEST:
            raise ValueError("it is nested too deeply")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        counted = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        if twice := [key for key, count in counted.items() if count > 1]:
            raise ValueError(f"the key {short_repr(twice[0])} stands twice")
        return node


_Loader.yaml_implicit_resolvers = {
    letter: [rule for rule in rules if not rule[0].endswith(":timestamp")]
    for letter, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _parse(text: str) -> Any:
    """What YAML holds.

    Raises:
        ValueError: in a few words, why this is none.
    """
    try:
        return yaml.load(text, _Loader)  # it is a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ValueError(f"{line}{error.problem}") from error
    except Exception as error:  # a tag that does not fit (!!int x) raises whatever it likes
        raise ValueError(str(error).partition("\n")[0]) from error


# -- running it -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """How the run of one lesson ended: with a record, or with a `failure` told in a few lines.

    `died` says that its kernel did, which may be no fault of the lesson.
    """

    lesson: str
    profile: str
    seconds: float
    notebook: Path
    record: dict[str, Any] | None
    failure: str | None
    died: bool = False

    @property
    def ok(self) -> bool:
        return self.failure is None

    @property
    def headline(self) -> str:
        """The one result that the lesson wants in the table, or ""."""
        headline = self.record["metrics"].get("headline") if self.record else None
        return headline if isinstance(headline, str) else ""


def run(
    lessons: str | Path | Sequence[str | Path] = (),
    *,
    profile: str = "quick",
    parameters: Mapping[str, Any] | None = None,
    parameter_file: str | Path | None = None,
    out_dir: str | Path = "runs",
    progress: bool = True,
    cell_timeout: float | None = None,
) -> list[Outcome]:
    """Execute lessons one after the other; one that fails does not stop the others.

    Args:
        lessons: a number, name or path, or several of them; none means all.
        profile: "quick" (the notebook's own values), or NAME for `profiles/NAME/NN_name.yaml`:
            every lesson has "full".
        parameters: values that go before those of the file, which go before the profile's. With
            several lessons each takes those that it has. Text is converted to the declared type.
            Where the profile keeps checkpoints, those of other values get a folder of their own
            below its `checkpoint_dir`; other seeds or another device share it.
        parameter_file: a YAML file in papermill's `-f` format.
        out_dir: receives `NN_name.ipynb` and `NN_name.json`, or `NN_name.unfinished.ipynb` of a
            run that fails, which leaves an older result alone; created if need be.
        progress: show a progress bar for each lesson on stderr.
        cell_timeout: seconds after which a cell that is still running fails; default: never.

    Raises:
        CourseError: something asked for does not exist or does not fit; nothing has been run.
    """
    plans = plan(lessons, profile=profile, parameters=parameters, parameter_file=parameter_file)
    prepare_folder(out_dir, plans, cell_timeout)
    return [execute(each, out_dir, progress=progress, cell_timeout=cell_timeout) for each in plans]


def prepare_folder(
    out_dir: str | Path, plans: Sequence[Plan], cell_timeout: float | None = None
) -> None:
    """Create the folder of the results, and make sure that they can be written there.

    Raises:
        CourseError: they cannot, or would replace the lessons themselves, or a quick run those of
            another profile; or `cell_timeout` is no number of seconds.
    """
    wanted(out_dir, str, Path, name="out_dir")
    fits = cell_timeout is None or (is_number(cell_timeout) and 0 < cell_timeout < 1e9)
    told = f"the limit of a cell is a number of seconds, not {short_repr(cell_timeout)}"
    require(fits, told, CourseError)
    folder = Path(out_dir)
    another = "; choose another --out (out_dir)"
    with unless_lost(f"cannot write to {short_path(folder)}", another):
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    for each in plans:
        target = folder / each.lesson.path.name
        if target.exists() and target.samefile(each.lesson.path):
            raise CourseError(f"{short_path(folder)} holds the lesson itself; choose another --out")
        try:
            other = records.read_record(target.with_suffix(".json"))["profile"]
        except CourseError:  # there is none
            continue
        told = f"{short_path(folder)} holds a {other} run of {each.lesson.name}, which a quick one"
        advice = "would replace; choose another --out, or delete it"
        fits = each.profile != "quick" or other in ("quick", None)
        require(fits, f"{told} {advice}", CourseError)


def execute(
    plan: Plan,
    out_dir: str | Path = "runs",
    *,
    progress: bool = True,
    patience: float = 0.0,
    cell_timeout: float | None = None,
) -> Outcome:
    """Execute one lesson into a prepared folder. Whatever goes wrong in it is in the outcome.

    Args:
        patience: seconds to wait for another run of the lesson into this folder.

    Raises:
        KeyboardInterrupt: after the kernel has been stopped; the executed part is kept.
    """
    folder, name = Path(out_dir), plan.lesson.name
    try:
        with FileLock(folder.resolve() / f".{name}.lock", timeout=patience):
            for left in folder.glob(f".{glob.escape(name)}-run-*"):  # by one that was killed
                shutil.rmtree(left, ignore_errors=True)
            # A folder that only this run's kernel knows: what another one writes is not ours.
            with tempfile.TemporaryDirectory(
                dir=folder.resolve(), prefix=f".{name}-run-", ignore_cleanup_errors=True
            ) as aside:
                return _execute(plan, folder, Path(aside), progress, cell_timeout)
    except Timeout:
        reason = f"another run is writing to {str(out_dir)!r}; choose another --out"
    except OSError as error:
        reason = f"cannot write to {str(out_dir)!r}: {error.strerror}; choose another --out"
    return Outcome(name, plan.profile, 0.0, folder / f"{name}.ipynb", None, reason)


def _execute(
    plan: Plan, folder: Path, aside: Path, progress: bool, cell_timeout: float | None
) -> Outcome:
    import papermill  # slow to import, and a lesson's kernel imports this module without need

    lesson = plan.lesson
    notebook, record_file = aside / f"{lesson.name}.ipynb", aside / f"{lesson.name}.json"
    writes_record = RECORD_FILE in lesson.parameters
    injected = plan.values | ({RECORD_FILE: str(record_file)} if writes_record else {})
    kept = folder / f"{lesson.name}.unfinished.ipynb"
    record, failure, died = None, None, False
    started = time.perf_counter()
    try:
        identity = plan.identity  # of what is executed, should the file change meanwhile
        for left in reversed(range(STARTS)):
            try:
                executed = papermill.execute_notebook(
                    _for_papermill(lesson.path),
                    _for_papermill(notebook),
                    parameters=injected,
                    kernel_name=KERNEL,
                    progress_bar={"desc": lesson.name} if progress else False,
                    start_timeout=START,
                    execution_timeout=cell_timeout,
                    extra_arguments=[*QUIET],
                )
                break
            except RuntimeError:
                if not left or _started_cells(notebook):
                    raise
        failure = _stopped_early(executed, record_file if writes_record else None)
        if failure is None:
            if writes_record:
                seconds = time.perf_counter() - started
                record = records.complete(record_file, identity, seconds)
                record_file.replace(folder / record_file.name)
            kept.unlink(missing_ok=True)  # of an earlier run
            kept = folder / notebook.name
    except Exception as error:  # a lesson may fail in any way, and the others still run
        failure, died = describe(error, notebook)
    finally:  # after Ctrl-C, too
        if notebook.exists():
            notebook.replace(kept)
    seconds = time.perf_counter() - started
    return Outcome(lesson.name, plan.profile, seconds, kept, record, failure, died)


def _for_papermill(path: Path) -> str:
    """papermill fills in `{fields}` in its paths; a brace in the name of a folder is none."""
    return str(path).replace("{", "{{").replace("}", "}}")


# -- where and why a notebook failed, in a few lines ----------------------------------------------


def describe(error: Exception, notebook: Path | None = None) -> tuple[str, bool]:
    """The failing cell, the line at fault and the error; and whether the kernel died.

    Args:
        notebook: the executed copy, for errors that do not know the cell (a dead kernel).
    """
    from jupyter_client.kernelspec import NoSuchKernel
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    died = isinstance(error, DeadKernelError)
    if isinstance(error, PapermillExecutionError):
        traceback = COLOURS.sub("", "\n".join(error.traceback))
        lines = re.findall(rf"Cell In\[{error.exec_count}\], line (\d+)", traceback)
        # papermill's own word for a cell that stopped and left no error
        died = error.ename == "CellExecutionError" and not error.evalue
        message = DIED if died else _first_lines(f"{error.ename}: {error.evalue}")
        at = int(lines[-1]) if lines else None
        return _excerpt(error.exec_count, error.source, message, line=at), died
    message = _first_lines(f"{type(error).__name__}: {error}" if str(error) else repr(error))
    started = _started_cells(notebook) if notebook else []
    if started and (died or isinstance(error, CellTimeoutError)):
        # A kernel may die before it has told the cell's number, so count.
        number, source = len(started), started[-1]["source"]
        late = "stopped: this cell took longer than it may (--cell-timeout)"
        return _excerpt(number, source, DIED if died else late), died
    if notebook and not started and isinstance(error, RuntimeError | NoSuchKernel):
        message += "\nthe kernel did not start; `kdhelpers doctor` looks for the reason"
    return message, died


def _stopped_early(executed: Any, record_file: Path | None) -> str | None:
    """Why an executed notebook is not finished although it raised no error; None if it is.

    papermill takes `sys.exit(0)` for a good end.
    """
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    if any(cell.metadata.papermill.status == "pending" for cell in code):
        message = "stopped before its last cell"
        at = next((cell for cell in code if cell.metadata.papermill.exception), None)
        return _excerpt(at.execution_count, at.source, message) if at else message
    if record_file is not None and not record_file.exists():
        return "stopped before its last cell: it wrote no record"
    return None


def _started_cells(notebook: Path) -> list[Any]:
    import nbformat

    try:
        cells = nbformat.read(notebook, as_version=4).cells
    except Exception:
        return []
    code = [cell for cell in cells if cell.cell_type == "code" and cell.source.strip()]
    return [cell for cell in code if cell.metadata.get("papermill", {}).get("start_time")]


def _excerpt(number: int, source: str, message: str, line: int | None = None) -> str:
    """The cell around `line`, marked; its first lines if nobody knows where it stopped."""
    middle = line or CONTEXT + 1
    around = range(max(1, middle - CONTEXT), middle + CONTEXT + 1)
    shown = [
        f"  {'>' if at == line else ' '} {text}"
        for at, text in enumerate(source.splitlines(), start=1)
        if at in around
    ]
    where = f"cell In [{number}]" + (f", line {line}" if line else "")
    return "\n".join([f"{where}:", *shown, message])


def _first_lines(message: str) -> str:
    lines = [line.rstrip() for line in COLOURS.sub("", message).splitlines() if line.strip()]
    return "\n".join(line[:300] for line in lines[:MESSAGE_LINES])
