"""Do the quick lessons give the same numbers at two commits, to the bit, on this machine?

    python tools/compare_commits.py HEAD~1 HEAD [01 02 …]      default: all lessons

Each commit is checked out beside the other, its lessons are run with its own package by the
Python that runs this script, and what the records say is compared; times are left out. Ends with 1
if anything differs. Another machine gives other last digits, so nothing is compared with records
that are committed.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TIMES = re.compile(r"(^|_)(seconds|latency|latency_ms|ms|milliseconds|times)$")


def run(commit: str, lessons: list[str], folder: Path) -> dict[str, Any]:
    """The records' metrics of a commit's lessons, by lesson."""
    tree, out = folder / "tree", folder / "runs"
    add = ["git", "-C", ROOT, "worktree", "add", "--quiet", "--detach", tree, commit]
    subprocess.run(add, check=True)
    try:
        command = [sys.executable, "-m", "kdhelpers.course.cli", "run", *lessons, "--out", out]
        subprocess.run(command, check=True, cwd=tree, env=os.environ | {"PYTHONPATH": str(tree)})
    finally:
        subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", tree], check=True)
    records = {path.stem: json.loads(path.read_text("utf-8")) for path in out.glob("*.json")}
    return {name: record["metrics"] for name, record in records.items()}


def differences(old: Any, new: Any, place: str = "") -> Iterator[str]:
    """Where two values are not the same, each in a line."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in old | new:
            if not TIMES.search(str(key)):
                missing = "(not there)"
                yield from differences(
                    old.get(key, missing), new.get(key, missing), f"{place}.{key}"
                )
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, pair in enumerate(zip(old, new, strict=True)):
            yield from differences(*pair, f"{place}[{number}]")
    elif repr(old) != repr(new):  # -0.0 is not 0.0, 1 is not True
        yield f"{place}: {old!r} -> {new!r}"


def main(old: str, new: str, *lessons: str) -> int:
    """Print what differs; the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        before, after = (
            run(commit, list(lessons), Path(folder) / side)
            for side, commit in (("old", old), ("new", new))
        )
    found = [line for name in before for line in differences(before[name], after.get(name), name)]
    print("\n".join(found) or f"the same in {len(before)} lessons, to the bit")
    return bool(found)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
