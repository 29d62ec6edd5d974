"""Runs in threads: they share the processor, draw no random numbers, and end together.

PyTorch computes outside of Python's lock; a process would have to import it first.
"""

import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from kdhelpers._random import besides_torch, random_state_kept
from kdhelpers._values import processors

T = TypeVar("T")

_this_thread = threading.local()


def in_threads(runs: Sequence[Callable[[], T]], workers: int) -> list[T]:
    """What the runs return, so many at a time, but never more than processors; from inside of such
    a run one after the other.

    Raises:
        KeyboardInterrupt: after the training step in progress of each run; pressed once more
            while they end, it changes nothing, and the third time it is obeyed at once.
        Exception: what a run raised, after those that run beside it have ended.
    """
    if workers == 1 or hasattr(_this_thread, "stop"):
        return [run() for run in runs]
    workers = min(workers, processors())  # more would wait for each other in Python's lock
    threads, stop = max(1, torch.get_num_threads() // workers), threading.Event()
    begun: list[threading.Thread] = []
    pool = ThreadPoolExecutor(workers, initializer=_share, initargs=(threads, stop, begun))
    with random_state_kept():
        results: list[Future[T]] = []
        try:
            results.extend(pool.submit(run) for run in runs)
            wait(results, return_when=FIRST_EXCEPTION)
        except KeyboardInterrupt:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            with suppress(KeyboardInterrupt):
                wait([each for each in results if not each.cancelled()])
            raise
        finally:
            pool.shutdown(cancel_futures=True)
            for thread in begun:  # the pool forgets one in whose start Ctrl-C was pressed
                thread.join()
        return [each.result() for each in results]


def _share(threads: int, stop: threading.Event, begun: list[threading.Thread]) -> None:
    begun.append(threading.current_thread())
    _this_thread.stop = stop
    torch.set_num_threads(threads)


def end_if_stopped() -> None:
    """Raise KeyboardInterrupt in a run whose experiment has been ended by one."""
    stop = getattr(_this_thread, "stop", None)
    if stop is not None and stop.is_set():
        raise KeyboardInterrupt


@contextmanager
def no_random_numbers(network: nn.Module) -> Iterator[None]:
    """Inside, where others train beside this thread, nothing may draw from the global state.

    It is theirs, too: each would get other numbers at every run.

    Raises:
        ValueError: a layer of `network`, or what else is called, draws; of PyTorch's numbers it
            has not yet drawn.
    """
    if not hasattr(_this_thread, "stop"):
        yield
        return
    seedings, before = besides_torch()
    try:
        with _NoRandomNumbers():
            yield
        again, after = besides_torch()
        if again == seedings and after != before:  # another run has not set them meanwhile
            raise _Drawing("with NumPy or Python")
    except _Drawing as error:
        names = {id(module): name for name, module in network.named_modules()}
        frames = traceback.walk_tb(error.__traceback__)
        found = [names[id(own)] for f, _ in frames if id(own := f.f_locals.get("self")) in names]
        raise ValueError(
            f"{repr(found[-1]) if found else 'what a step calls'} draws random numbers ({error}), "
            "which students that train at the same time would mix up; use workers=1."
        ) from None


class _Drawing(Exception):
    """The name of an operation that draws."""


class _NoRandomNumbers(TorchDispatchMode):
    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded in func.tags and _draws(func, args, kwargs):
            raise _Drawing(func.overloadpacket.__name__)
        return func(*args, **kwargs)


def _draws(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether an operation that may draw does: with no generator of its own, no dropout of 0."""
    known = {argument.name: argument.default_value for argument in func._schema.arguments}
    given = known | dict(zip(known, args, strict=False)) | kwargs
    chance: Any = given.get("dropout_p", given.get("dropout", 1.0))
    return given.get("generator") is None and chance > 0
