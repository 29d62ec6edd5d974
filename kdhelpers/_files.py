"""A file is there whole or not at all.

Whatever is written goes to a temporary file in the same folder first and takes its final name
in one step, so an interrupted program or a full disk never leaves half a file under that name.
"""

import errno
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kdhelpers._values import check_type, require, short_path, short_repr

try:
    import fcntl
except ImportError:  # Windows, where what is open cannot be removed, nor renamed
    fcntl = None  # type: ignore[assignment]


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; it becomes ``path`` when the block ends well.

    The folder is created if need be. If the block raises, the temporary file is removed and
    whatever stood at ``path`` stays as it was. Two writers at once do not mix: the last wins.
    What writers that were killed have left in the folder is removed first.

    Raises:
        OSError: the folder cannot be written, the disk is full, or the block wrote no file.
        ValueError: ``path`` is neither text nor a path, or holds a NUL.
    """
    if not isinstance(path, str | Path) or "\0" in str(path):
        raise ValueError(f"a file must be named by a path, got {short_repr(path)}.")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path.parent)
    # The name keeps the suffix: some writers (numpy, torchvision) choose the format by it.
    # A fixed prefix: the file's own name plus ours could pass the system's limit for a name.
    # Never without a suffix: torch.save refuses a name that is nothing but a suffix.
    suffix = path.suffix or ".part"
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".part-", suffix=suffix)
    temporary, held = Path(name), _held(handle)
    try:
        temporary.chmod(_usual_mode(path))
        yield temporary
        _flush(temporary)
        temporary.replace(path)
        _flush_folder(path.parent)
    finally:
        if held:
            os.close(handle)
        temporary.unlink(missing_ok=True)


def _held(handle: int) -> bool:
    """Show the others, as long as the file is open, that its writer lives; else close it."""
    if fcntl is None:
        os.close(handle)
        return False
    with suppress(OSError):  # some network disks have no locks
        fcntl.flock(handle, fcntl.LOCK_EX)
    return True


def _sweep(folder: Path) -> None:
    for left in folder.glob(".part-*") if fcntl is not None else ():
        ours = re.fullmatch(r"\.part-\w{8}(\..*)?", left.name) and left.is_file()
        with suppress(OSError):  # somebody writes it, or has removed it
            if ours and time.time() - left.stat().st_mtime > 2:  # not made just now, and not held
                with left.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    left.unlink()


def file_at(path: str | Path, example: str) -> Path:
    """Where a file lies, or will: below the home folder after ``~``, or what a link leads to.

    Raises:
        ValueError: ``path`` is neither text nor a path, or leads to a folder or a pipe.
    """
    check_type(path, str, Path, name="path")
    found = Path(os.path.expanduser(path)).resolve()  # noqa: PTH111 (Path's refuses "~somebody")
    told = f"{short_path(path)} is no file; name one, such as {example!r}."
    require(found.is_file() or not found.exists(), told)
    return found


def read_text(path: Path) -> str:
    """The text of a file, UTF-8; a pipe, which would be waited for, is refused.

    Raises:
        OSError: the file is not there, is none, or may not be read.
    """
    if path.exists() and not path.is_file() and not path.is_dir():  # of which Python tells
        raise OSError(errno.EINVAL, "it is no file", str(path))
    return path.read_text(encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``, whole or not at all.

    Raises:
        OSError, ValueError: as for :func:`atomic`.
    """
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` as UTF-8 with ``\\n`` line ends, whole or not at all.

    Raises:
        OSError, ValueError: as for :func:`atomic`; also ValueError for what is no Unicode text.
    """
    try:
        content = text.encode("utf-8")
    except (UnicodeEncodeError, AttributeError) as error:
        raise ValueError(f"the content must be Unicode text, got {short_repr(text)}.") from error
    write_bytes(path, content)


def _usual_mode(path: Path) -> int:
    """The permissions of the file replaced, or those that ``open`` would give to a new one."""
    try:
        return path.stat().st_mode & 0o777
    except FileNotFoundError:
        # mkstemp makes the file private; the umask can only be read by setting it.
        mask = os.umask(0o077)
        os.umask(mask)
        return 0o666 & ~mask


def _flush(path: Path) -> None:
    """Have the content on the disk before the name: after a power cut the name is no lie."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Have the new name on the disk too, where the system lets a folder be opened."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
