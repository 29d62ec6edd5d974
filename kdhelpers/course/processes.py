"""Processes that can be killed one by one: whoever dies takes nothing along but its own work."""

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing.process import parent_process
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

import psutil

__all__ = ["Processes"]

P = ParamSpec("P")
T = TypeVar("T")

# Two processes with two threads each on two cores wait for each other most of the time.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


class Processes(Executor):
    """An executor with `workers` processes of one thread each, as pools of one process.

    A `ProcessPoolExecutor` of several gives up as a whole when one of its processes is killed.
    Here the call that it was running raises `BrokenExecutor`, the others go on, and the next
    call gets a fresh process. The processes end when the program that started them does, however
    it ends, and so does all that they have started.
    """

    def __init__(self, workers: int) -> None:
        self._threads = ThreadPoolExecutor(workers)
        self._idle: SimpleQueue[_Process | None] = SimpleQueue()
        for _ in range(workers):
            self._idle.put(None)
        self._started: list[_Process] = []
        self._killed = False
        self._lock = threading.Lock()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return self._threads.submit(self._call, fn, args, kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the calls under way come to their end, and then the processes."""
        self._threads.shutdown(wait, cancel_futures=cancel_futures)
        for process in self._started:
            process.pool.shutdown(wait)

    def kill(self) -> None:
        """End every process at once; what they were doing raises `BrokenExecutor`."""
        with self._lock:
            self._killed = True
            for process in self._started:
                process.kill()
        self.shutdown(cancel_futures=True)

    def _call(self, fn: Callable[..., T], args: Any, kwargs: Any) -> T:
        process = self._idle.get()
        try:
            process = process or self._start()
            return process.pool.submit(fn, *args, **kwargs).result()
        except BrokenExecutor:
            if process:
                process.pool.shutdown()
            process = None
            raise
        finally:
            self._idle.put(process)

    def _start(self) -> "_Process":
        process = _Process()
        with self._lock:
            if self._killed:
                process.kill()
            self._started.append(process)
        return process


class _Process:
    """A pool of one process, and its number."""

    def __init__(self) -> None:
        # Not forked: threads of this program may hold locks that nobody would release there.
        context = multiprocessing.get_context("spawn")
        self.pool = ProcessPoolExecutor(1, mp_context=context, initializer=_prepare)
        self.number = self.pool.submit(os.getpid).result()

    def kill(self) -> None:
        _kill_family(self.number)


def _prepare() -> None:
    """What a process does first."""
    os.environ.update(ONE_THREAD)
    # jsonschema (by way of nbformat) would build a grammar for URIs: 2.5 seconds for nothing.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    if hasattr(os, "setsid"):
        os.setsid()  # Ctrl-C is for the program in the terminal, which then calls `kill`
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    """A pool's process does not notice that its parent was killed, nor does a kernel at once."""
    parent = parent_process()
    if parent is not None:
        parent.join()
    _kill_family(os.getpid())


def _kill_family(number: int) -> None:
    """Kill a process and all that it has started, itself last: it may be us."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(number)
        for member in [*process.children(recursive=True), process]:
            with suppress(psutil.NoSuchProcess):
                member.kill()
