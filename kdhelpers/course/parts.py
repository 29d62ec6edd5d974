"""Finished runs of a long lesson, a small file each: a record is joined from them.

So a record of many hours survives a change of machine, and several machines can share it out: each
makes some arms or seeds, and the files are put together in one folder.
"""

import hashlib
import inspect
import json
import re
import time
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

from kdhelpers._files import write_text
from kdhelpers.course.records import WHERE, environment, plain, read_json, without_folders
from kdhelpers.course.root import CourseError

Run = Callable[..., dict[str, Any]]
HOW = (*WHERE, "precision")  # each part tells its own


class Parts:
    """The finished runs in a folder that belong to a lesson with these parameters.

    A part is known by its function's name and arguments, and by the lesson's parameters, but for
    those that say *which* runs there are (seeds, every list and mapping: what a run takes of them
    is among its arguments) or where they are made.
    """

    def __init__(
        self, folder: Path, lesson: str, parameters: Mapping[str, Any], device: object
    ) -> None:
        self.parameters = {
            name: without_folders(value)  # the same file lies elsewhere on another machine
            for name, value in parameters.items()
            if name not in HOW
            and not name.endswith(("seed", "_dir"))
            and not isinstance(value, list | dict)
        }
        self.folder, self.lesson, self.device = folder, lesson, device
        self.used: list[dict[str, Any]] = []

    def kept(self, run: Run) -> Run:
        """The function; it first looks for the part of its arguments, and writes it at the end."""
        signature = inspect.signature(run)

        @wraps(run)
        def looked_up(*args: Any, **kwargs: Any) -> dict[str, Any]:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            known = plain(bound.arguments, f"the arguments of {run.__name__}")
            key = {"lesson": self.lesson, "function": run.__name__, "run": known}
            part = self._part(key, lambda: run(*args, **kwargs))
            self.used.append(part)
            return dict(part["figures"])

        return looked_up

    def _part(self, known: dict[str, Any], compute: Callable[[], Any]) -> dict[str, Any]:
        text = json.dumps([known, self.parameters], sort_keys=True)
        words = "-".join(f"{each:g}" if isinstance(each, float) else str(each)
                         for each in known["run"].values())  # fmt: skip
        safe = re.sub(r"[^A-Za-z0-9.+-]+", "_", words)[:80]
        path = self.folder / f"{safe}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"
        if path.exists():
            return self._read(path, known)
        started = time.perf_counter()
        part = known | {
            "parameters": self.parameters,
            "figures": plain(compute(), f"the figures of {words}"),
            "seconds": time.perf_counter() - started,
            "environment": environment(self.device),
        }
        write_text(path, json.dumps(part, indent=1) + "\n")
        return part

    def _read(self, path: Path, known: dict[str, Any]) -> dict[str, Any]:
        part = read_json(path)
        right = isinstance(part, dict) and all(part.get(key) == known[key] for key in known)
        if not right or not isinstance(part.get("figures"), dict):
            raise CourseError(f"{path} is not the part of {known['run']}; move it away")
        return dict(part)

    def summary(self) -> dict[str, Any]:
        """What a record tells of its parts: how many, their seconds, where they were made."""
        made = [part.get("environment", {}) for part in self.used]
        return {
            "count": len(self.used),
            "seconds": sum(float(part.get("seconds", 0)) for part in self.used),
            "processors": sorted({str(each.get("processor")) for each in made}),
            "commits": sorted({str(each.get("commit")) for each in made}),
            "precisions": sorted({str(p["figures"].get("precision", "fp32")) for p in self.used}),
        }
