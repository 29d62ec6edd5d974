"""Settings of all tests, and the fixtures that several files share."""

import os
import signal
from collections.abc import Iterator

# Two workers with two threads each on two cores wait for each other most of the time; and one
# thread makes sums reproducible. So it is for the kernels that they start.
os.environ["OMP_NUM_THREADS"] = "1"

import pytest

# Each worker keeps to its processor: what trains two students at a time would use the other's.
worker = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
if worker and hasattr(os, "sched_setaffinity"):
    allowed = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {allowed[int(worker) % len(allowed)]})
# A suite that was started in the background ignores Ctrl-C, and so would the commands under test.
signal.signal(signal.SIGINT, signal.default_int_handler)

LONG = ("test_notebooks", "test_benchmarks", "test_wheel", "test_snippets", "test_sweep")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files first, notebooks before all: no worker then waits for the other at the end."""
    items.sort(key=lambda item: (item.path.suffix == ".py", item.path.stem not in LONG))


@pytest.fixture
def global_random_state_is_left_alone() -> Iterator[None]:
    import numpy as np  # the process that only hands out the tests needs neither
    import torch

    before, of_numpy = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
    yield
    assert torch.equal(before, torch.get_rng_state())
    assert (of_numpy == np.random.get_state()[1]).all()  # noqa: NPY002


@pytest.fixture
def float64_default() -> Iterator[None]:
    import torch

    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def in_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of four tasks of a cluster's job."""
    job = dict(NTASKS=4, JOB_NAME="kd", JOB_ID=1, PROCID=1, LOCALID=1, NODEID=0)
    for name, value in job.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))


@pytest.fixture(autouse=True)
def the_same_on_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Precision "auto" and runs in threads go by the hardware; a test of them says which."""
    monkeypatch.setattr("kdhelpers.training.devices.computes_in_bf16", lambda device: False)
    monkeypatch.setattr("kdhelpers.training.threads.processors", lambda: 2)
