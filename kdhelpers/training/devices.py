"""Where training runs: one device, or several processes with a device each (Lightning Fabric)."""

import copy
import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from pickle import PicklingError
from typing import Any, Literal, NamedTuple

import torch
from lightning_fabric import Fabric
from torch import nn
from torch.multiprocessing.spawn import ProcessException, spawn

from kdhelpers._values import check_choice, check_int, check_type, short_repr

# Lightning Fabric makes PyTorch look for GPUs without starting CUDA, and Adam looks at every step:
# measured, up to a tenth of a small network's. Where there is no GPU there is nothing to start, and
# PyTorch's own way to look takes a fiftieth of the time.
if not torch.cuda.is_available():
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"

Work = Callable[..., dict[str, Any]]

PRECISIONS: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "fp32": "32-true",
    "bf16": "bf16-mixed",
    "fp16": "16-mixed",
}


def make_fabric(device: str = "auto", precision: str = "fp32") -> Fabric:
    """A launched `Fabric` on one device: "auto", "cpu", "cuda", "cuda:1" or "mps".

    Raises:
        ValueError: an unknown precision, or a device that this machine does not have.
    """
    kind, index = _checked(device, precision)
    chosen: list[int] | int = [index] if kind == "cuda" else 1
    fabric = Fabric(accelerator=kind, devices=chosen, precision=PRECISIONS[precision])
    fabric.launch()
    return fabric


def check_several(device: str, precision: str, devices: int) -> None:
    """Raise ValueError unless this machine can train on so many devices at once."""
    kind, _ = _checked(device, precision)
    check_int(devices, name="devices", least=1)
    if ":" in device or kind == "mps":
        raise ValueError(f"devices={devices} needs device 'cuda' or 'cpu', not one device alone.")
    if kind == "cuda" and devices > torch.cuda.device_count():
        raise ValueError(
            f"devices={devices}, but this machine has {torch.cuda.device_count()} GPUs."
        )
    cores = max(2, os.cpu_count() or 1)
    if kind == "cpu" and devices > cores:
        raise ValueError(
            f"devices={short_repr(devices)}, but this machine has {cores} processor cores."
        )


def in_processes(
    work: Work, *modules: nn.Module, device: str, precision: str, devices: int
) -> dict[str, Any]:
    """Call `work(fabric, *modules)` in as many processes as devices; what the first one returns.

    Processes are spawned, as a notebook's kernel that has used a GPU or threads cannot be forked.
    All of `work` and `modules` travels by pickle, so it must be defined in modules, not in a
    notebook's cells. Each process has its own copy of the modules' weights. The result may hold
    tensors and plain values.

    Raises:
        ChildProcessError: the processes could not start, or one of them failed.
    """
    kind, _ = _checked(device, precision)
    with tempfile.TemporaryDirectory() as folder, socket.socket() as chosen:
        result = Path(folder) / "result.pt"
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
        chosen.close()
        threads = max(1, torch.get_num_threads() // devices)
        place = _Place(kind, precision, devices, port, threads)
        try:
            spawn(_in_one_process, (place, work, modules, result), nprocs=devices)
        except (PicklingError, AttributeError, ProcessException) as error:
            raise ChildProcessError(str(error)) from error
        returned: dict[str, Any] = torch.load(result, map_location="cpu", weights_only=True)
        return returned


class _Place(NamedTuple):
    kind: str
    precision: str
    devices: int
    port: int
    threads: int


def _in_one_process(
    rank: int, place: _Place, work: Work, modules: tuple[nn.Module, ...], result: Path
) -> None:
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(place.port)}
    os.environ.update(address, LOCAL_RANK=str(rank), NODE_RANK="0")
    torch.set_num_threads(place.threads)
    fabric = Fabric(
        accelerator=place.kind,
        devices=place.devices,
        precision=PRECISIONS[place.precision],
        strategy="ddp",
    )
    fabric.launch()
    own = copy.deepcopy(modules)  # what arrives on a CPU is memory shared by all processes
    returned = work(fabric, *own)
    if fabric.is_global_zero:
        torch.save(returned, result)
    fabric.barrier()
    torch.distributed.destroy_process_group()


def _checked(device: str, precision: str) -> tuple[str, int]:
    """Kind and index of a device that this machine has."""
    check_choice(precision, PRECISIONS, name="precision")
    check_type(device, str, name="device")
    kind, _, number = device.partition(":")
    available = {"auto": True, "cpu": True, "cuda": torch.cuda.is_available()}
    available["mps"] = torch.backends.mps.is_available()
    numbered = number.isdecimal() and number.isascii() and len(number) < 9
    index = int(number) if numbered else 0
    if kind not in available or (number and (kind != "cuda" or not numbered)):
        raise ValueError(
            f"device must be auto, cpu, cuda, cuda:N or mps, got {short_repr(device)}."
        )
    if not available[kind] or (kind == "cuda" and index >= torch.cuda.device_count()):
        raise ValueError(f"this machine has no device {short_repr(device)}; use device='auto'.")
    if kind == "auto":
        kind = "cuda" if available["cuda"] else "mps" if available["mps"] else "cpu"
    if precision == "fp16" and kind == "cpu":
        raise ValueError("precision 'fp16' needs a GPU; use 'bf16' or 'fp32' on a CPU.")
    return kind, index
