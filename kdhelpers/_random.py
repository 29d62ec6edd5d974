"""Random numbers that a seed fixes, and the global random states left as they were.

There is one global state for all threads, so whoever uses it holds a lock: two students that train
at the same time (see `parallel`) get the weights that each would have got alone.
"""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from kdhelpers._values import check_int, is_int, short_repr

_LOCK = threading.RLock()
_seedings = 0  # how often one of the functions here has set the states of NumPy and Python


@contextmanager
def initial_weights(seed: int | None) -> Iterator[None]:
    """Networks built inside get the weights of `seed`; None draws from the global state.

    For networks of your own, which `torch.manual_seed` does not fix while others train in threads.

    Raises:
        ValueError: `seed` is neither None nor a whole number from 0.
    """
    if seed is not None:
        seed = check_int(seed, name="seed")
    with _LOCK, torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed GPUs too
        yield


@contextmanager
def random_state_kept(device: torch.device = torch.device("cpu")) -> Iterator[None]:  # noqa: B008
    """The global states of the CPU, `device`, NumPy and Python are afterwards as before."""
    global _seedings
    besides = [] if device.type == "cpu" else [device]
    kept = torch.random.fork_rng(besides, device_type=besides[0].type if besides else "cuda")
    with _LOCK:
        of_python, of_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
        kept.__enter__()
    try:
        yield
    finally:
        with _LOCK:
            kept.__exit__(None, None, None)
            _seedings += 1
            np.random.set_state(of_numpy)  # noqa: NPY002
            random.setstate(of_python)


def seed_all(seed: int, device: torch.device) -> None:
    """Seed the global states of Python, NumPy, the CPU and `device`, and of no other device.

    `torch.manual_seed` seeds every kind of device there may be, and notes down where it was called
    for those that have not started yet: that is a tenth of an epoch of two steps.
    """
    global _seedings
    with _LOCK:
        _seedings += 1
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        torch.default_generator.manual_seed(seed)
        if device.type != "cpu":
            torch.get_device_module(device).manual_seed(seed)


def besides_torch() -> tuple[int, object]:
    """How often the states of NumPy and Python were set, and what they are now."""
    with _LOCK:
        of_numpy = np.random.get_state(legacy=False)["state"]  # noqa: NPY002
        return _seedings, (random.getstate(), bytes(of_numpy["key"]), of_numpy["pos"])


def mixed_seed(*parts: int) -> int:
    """One seed from several whole numbers of any size, well mixed and the same everywhere.

    Raises:
        ValueError: a part is no whole number from 0.
    """
    for part in parts:
        if not is_int(part) or part < 0:
            raise ValueError(f"seed must be 0 or more, got {short_repr(part)}.")
    first, second = np.random.SeedSequence([int(part) for part in parts]).generate_state(2)
    return int(first) << 20 ^ int(second)


def generator(*seed: int) -> torch.Generator:
    """A CPU generator: the same numbers for the same seeds, whatever device is used."""
    return torch.Generator().manual_seed(mixed_seed(*seed))
