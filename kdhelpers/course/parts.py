"""Finished runs of a long lesson, a small file each: a record is joined from them.

So a record of many hours survives a change of machine, and several machines can share it out: each
makes some arms or seeds, and the files are put together in one folder.
"""

import hashlib
import json
import re
import time
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from kdhelpers._files import write_text
from kdhelpers.course.environment import environment
from kdhelpers.course.records import plain, read_json
from kdhelpers.course.root import CourseError

K = TypeVar("K", bound=Hashable)
Run = Callable[[int], dict[str, Any]]
WHERE = ("data_root", "device", "devices", "workers", "precision", "checkpoint_dir", "parts_dir")


class Parts:
    """The finished runs in a folder that belong to a lesson with these parameters.

    What says *which* runs there are (seeds, and every list) or where they are made does not tell
    parts apart; any other parameter does, by a hash in the file's name.
    """

    def __init__(
        self, folder: Path, lesson: str, parameters: Mapping[str, Any], device: object
    ) -> None:
        settings = {
            name: value
            for name, value in parameters.items()
            if name not in WHERE and not name.endswith("seed") and not isinstance(value, list)
        }
        text = json.dumps([lesson, settings], sort_keys=True)
        self.digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        self.folder, self.lesson, self.parameters = folder, lesson, settings
        self.device = device
        self.used: list[dict[str, Any]] = []

    def kept(self, arms: Mapping[K, Run], group: str = "") -> dict[K, Run]:
        """The arms, each of which first looks for its part and writes it when it has run."""
        return {arm: partial(self._run, f"{group} {_word(arm)}".strip(), arms[arm]) for arm in arms}

    def _run(self, name: str, run: Run, seed: int) -> dict[str, Any]:
        safe = re.sub(r"[^A-Za-z0-9.+-]+", "_", name)
        path = self.folder / f"{safe}.seed{seed}.{self.digest}.json"
        if path.exists():
            part = self._read(path, name, seed)
        else:
            started = time.perf_counter()
            part = {
                "lesson": self.lesson,
                "parameters": self.parameters,
                "run": name,
                "seed": seed,
                "figures": plain(run(seed), f"the figures of {name}"),
                "seconds": time.perf_counter() - started,
                "environment": environment(self.device),
            }
            write_text(path, json.dumps(part, indent=1) + "\n")
        self.used.append(part)
        figures: dict[str, Any] = part["figures"]
        return figures

    def _read(self, path: Path, name: str, seed: int) -> dict[str, Any]:
        part = read_json(path)
        right = isinstance(part, dict) and all(
            part.get(key) == value
            for key, value in (("lesson", self.lesson), ("run", name), ("seed", seed))
        )
        if not right or not isinstance(part.get("figures"), dict):
            raise CourseError(f"{path} is not the part {name!r} of seed {seed}; move it away")
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


def _word(arm: Hashable) -> str:
    if isinstance(arm, tuple):
        return " ".join(map(_word, arm))
    return f"{arm:g}" if isinstance(arm, float) else str(arm)
