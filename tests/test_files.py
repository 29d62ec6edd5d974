"""A file is there whole or not at all."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kdhelpers import _files


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_text_and_bytes_arrive_unchanged_under_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "Übung mit Leerzeichen"  # is created
    _files.write_text(folder / ("ä" * 120 + ".txt"), "α ≥ 0\n")
    _files.write_bytes(folder / "note.bin", b"\x00\r\n\xff")
    assert (folder / ("ä" * 120 + ".txt")).read_bytes() == "α ≥ 0\n".encode()
    assert (folder / "note.bin").read_bytes() == b"\x00\r\n\xff"
    assert len(names(folder)) == 2


def test_the_temporary_file_lies_beside_the_final_one_with_its_suffix(tmp_path: Path) -> None:
    with _files.atomic(tmp_path / "weights.npz") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".npz"
        assert not (tmp_path / "weights.npz").exists()
        temporary.write_bytes(b"whole")
    assert names(tmp_path) == ["weights.npz"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    target = tmp_path / "record.json"
    _files.write_text(target, "old")
    with pytest.raises(error), _files.atomic(target) as temporary:  # noqa: PT012
        temporary.write_text("ne")
        raise error
    assert target.read_text() == "old"
    assert names(tmp_path) == ["record.json"]


KILLED = """
import os, sys
from kdhelpers import _files
with _files.atomic(sys.argv[1]) as temporary:
    temporary.write_text("half")
    os.utime(temporary, (0, 0))
    print(temporary, flush=True)
    sys.stdin.readline()
"""


@pytest.mark.skipif(os.name == "nt", reason="there, nothing tells whether a writer lives")
def test_what_a_killed_writer_left_is_removed_and_what_a_living_one_writes_is_not(
    tmp_path: Path,
) -> None:
    (tmp_path / ".part-list.txt").write_text("of somebody")
    (tmp_path / ".part-abcdefgh").mkdir()
    command = [sys.executable, "-c", KILLED, str(tmp_path / "run.pt")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as writer:
        assert writer.stdout is not None
        left = Path(writer.stdout.readline().strip())
        _files.write_text(tmp_path / "other.txt", "whole")
        assert left.read_text() == "half"
        writer.kill()
    _files.write_text(tmp_path / "other.txt", "whole")
    assert names(tmp_path) == [".part-abcdefgh", ".part-list.txt", "other.txt"]
    (tmp_path / ".part-12345678").touch()  # made just now: its writer may not hold it yet
    for age, left in ((-60, True), (60, False)):
        os.utime(tmp_path / ".part-12345678", (time.time() - age,) * 2)
        _files.write_text(tmp_path / "other.txt", "whole")
        assert (tmp_path / ".part-12345678").exists() == left
    with _files.atomic(tmp_path / "mine") as temporary:  # in one process, too
        os.utime(temporary, (0, 0))
        _files.write_text(tmp_path / "other.txt", "whole")
        assert temporary.exists()


def test_a_file_that_was_removed_and_a_full_disk_are_errors_and_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError), _files.atomic(tmp_path / "a") as temporary:  # noqa: PT011
        temporary.unlink()
    assert names(tmp_path) == []
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        _files.write_text(tmp_path / "a", "text")
    assert names(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_permissions_are_those_of_an_ordinary_file(tmp_path: Path) -> None:
    ordinary = tmp_path / "ordinary"
    ordinary.write_text("")
    ours = tmp_path / "ours"
    _files.write_text(ours, "")
    assert stat.S_IMODE(ours.stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)
    ours.chmod(0o640)
    _files.write_text(ours, "again")
    assert stat.S_IMODE(ours.stat().st_mode) == 0o640


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(OSError, match="it is no file"):
        _files.read_text(tmp_path / "pipe.yaml")
    (tmp_path / "text").write_text("größer", encoding="utf-8")
    assert _files.read_text(tmp_path / "text") == "größer"
