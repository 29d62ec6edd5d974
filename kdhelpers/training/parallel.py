"""Several students at once: a small network leaves much of a second core idle.

Threads, not processes: a process of its own would import PyTorch first, which takes as long as
training several small students. PyTorch computes outside of Python's lock.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import nn

from kdhelpers._random import random_state_kept

__all__ = ["check_no_dropout", "run_arms"]

T = TypeVar("T")

_this_thread = threading.local()


def run_arms(
    arms: Mapping[str, Sequence[Callable[[], T]]], *, workers: int = 1
) -> dict[str, list[T]]:
    """Call every run of every arm; return what they returned, arm by arm in the same order.

    Each run must train a student of its own. A teacher may be shared where its logits have been
    computed before; one that is asked in every step has hooks and modes that only one run at a
    time may set, so give each run a copy.

    Args:
        arms: for each arm its runs, functions without arguments (`functools.partial`).
        workers: how many runs at a time, default 1. Each has its share of the CPU's threads. The
            results are those of one after the other with as many threads, bit for bit.

    Raises:
        ValueError: `workers` is not a whole number of at least 1; or, from `fit` with more than
            one, a student with dropout, whose random numbers the others would mix up.
        Exception: whatever a run raised; those that have not started are given up.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ValueError(f"workers must be a whole number of at least 1, got {workers!r}.")
    if workers == 1:
        return {arm: [run() for run in runs] for arm, runs in arms.items()}
    threads = max(1, torch.get_num_threads() // workers)
    pool = ThreadPoolExecutor(workers, initializer=_prepare, initargs=(threads,))
    with random_state_kept():
        try:
            started = {arm: [pool.submit(run) for run in runs] for arm, runs in arms.items()}
            return {arm: [each.result() for each in runs] for arm, runs in started.items()}
        finally:
            pool.shutdown(cancel_futures=True)


def check_no_dropout(student: nn.Module) -> None:
    """Raise ValueError if `student` draws random numbers while others train beside it."""
    if not getattr(_this_thread, "shared", False):
        return
    for name, module in student.named_modules():
        if isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0:
            raise ValueError(
                f"the layer '{name}' is dropout, and students that train at the same time would "
                "mix up its random numbers; use workers=1."
            )


def _prepare(threads: int) -> None:
    _this_thread.shared = True
    torch.set_num_threads(threads)
