"""Initial weights that a seed fixes, without touching PyTorch's global random state."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def initial_weights(seed: int | None) -> Iterator[None]:
    """Networks built inside get the weights of `seed`; None draws from the global state."""
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed GPUs too
        yield
