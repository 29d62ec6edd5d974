"""Other processes, forked from the test's own where that works: PyTorch is loaded there."""

import multiprocessing
import os
from collections.abc import Callable
from typing import Any

import pytest

LONGEST = 600  # seconds after which a process is taken to hang

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="the test forks its processes")


def forked(target: Callable[..., Any], *arguments: Any) -> multiprocessing.process.BaseProcess:
    """A started process that calls `target`."""
    process = multiprocessing.get_context("fork").Process(target=target, args=arguments)
    process.start()
    return process


def ended(target: Callable[..., Any], *arguments: Any) -> bool:
    """Whether a call of `target` in a process of its own comes to its end; its output is ours."""
    process = forked(target, *arguments)
    process.join(LONGEST)
    process.kill()
    process.join()
    return process.exitcode == 0
