"""Where training runs: one device, or several processes with a device each (Lightning Fabric).

Fabric is imported only for several devices or fp16: one device in fp32 or bf16 needs none of it,
and it takes longer to import than the rest together.
"""

import copy
import os
import platform
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import PicklingError
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from kdhelpers._values import check_choice, check_int, check_type, short_repr

Work = Callable[..., dict[str, Any]]

PRECISIONS: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "fp32": "32-true",
    "bf16": "bf16-mixed",
    "fp16": "16-mixed",
}
PRECISION_NAMES: dict[str, str] = {fabric: name for name, fabric in PRECISIONS.items()}
WORTH_IT = 1e9  # multiply-accumulates of a step from which bf16 pays; see benchmarks/precision.py


class Place(Protocol):
    """What the loop asks of the place where it runs; Fabric's words."""

    device: torch.device
    global_rank: int
    world_size: int
    is_global_zero: bool
    precision: str

    def setup(self, step: nn.Module, optimizer: Any) -> tuple[nn.Module, Any]: ...
    def backward(self, loss: Tensor) -> None: ...
    def all_reduce(self, tensor: Tensor, *, reduce_op: str) -> Tensor: ...
    def barrier(self) -> None: ...


class OneDevice:
    """One process, one device, no scaled gradients: nothing has to be shared."""

    global_rank, world_size, is_global_zero = 0, 1, True

    def __init__(self, device: torch.device, precision: str = "32-true") -> None:
        self.device, self.precision = device, precision

    def setup(self, step: nn.Module, optimizer: Any) -> tuple[nn.Module, Any]:
        if self.precision == PRECISIONS["bf16"]:
            in_bf16 = torch.autocast(self.device.type, torch.bfloat16)
            step.forward = in_bf16(step.forward)
        return step, optimizer

    def backward(self, loss: Tensor) -> None:
        loss.backward()

    def all_reduce(self, tensor: Tensor, *, reduce_op: str) -> Tensor:
        return tensor

    def barrier(self) -> None:
        pass


class _WithFabric:
    """A launched `Fabric` as a place."""

    _one_at_a_time = threading.Lock()  # a global of Fabric's tells its hooks who goes backwards

    def __init__(self, fabric: Any) -> None:
        self.precision = str(fabric._precision.precision)
        for name in ("device", "global_rank", "world_size", "is_global_zero", "setup"):
            setattr(self, name, getattr(fabric, name))
        self.all_reduce, self.barrier = fabric.all_reduce, fabric.barrier
        self._backward = fabric.backward

    def backward(self, loss: Tensor) -> None:
        with self._one_at_a_time:
            self._backward(loss)


def place_for(device: str, precision: str) -> Place:
    """One device of this machine in a precision; both have been checked.

    Raises:
        ValueError: `torchrun` started this process beside others that would train the same.
    """
    _check_alone()
    _look_for_gpus_quickly()
    kind, index = kind_and_index(device)
    if precision != "fp16":
        own = torch.device(kind, index) if kind == "cuda" else torch.device(kind)
        return OneDevice(own, PRECISIONS[precision])
    chosen: list[int] | int = [index] if kind == "cuda" else 1
    return of_fabric(_fabric(accelerator=kind, devices=chosen, precision=PRECISIONS[precision]))


def precision_for(device: str, macs: Callable[[], float]) -> str:
    """What precision "auto" stands for: "bf16" where the hardware is made for it and a step of so
    many multiply-accumulates gains by it, else "fp32". Never found by timing: the same every time.
    """
    return "bf16" if computes_in_bf16(device) and macs() >= WORTH_IT else "fp32"


def computes_in_bf16(device: str) -> bool:
    """Whether products of bfloat16 numbers are faster there than those of float32.

    GPUs from NVIDIA's compute capability 8, processors with AMX, and AMD's with AVX512-BF16
    (Intel's without AMX know the instruction, but do it at half the rate: measured, slower).
    """
    kind, index = kind_and_index(device)
    if kind == "cuda":
        return torch.cuda.get_device_capability(index) >= (8, 0)
    if kind != "cpu":
        return False
    has_amx = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    has_avx = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return has_amx() or (has_avx() and "AuthenticAMD" in _processor())


def _processor() -> str:
    """What Linux tells of the processor; elsewhere its name."""
    try:
        return Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return platform.processor()


def of_fabric(fabric: Any) -> Place:
    """A launched `Fabric`. On one device, without callbacks or scaled gradients, its wrappers would
    do no more than autocast does, and cost a small network a twentieth of its step."""
    if not hasattr(fabric, "all_reduce"):
        raise ValueError(f"fabric must be a launched Fabric, got {short_repr(fabric)}.")
    _look_for_gpus_quickly()
    precision = fabric._precision.precision
    plain = type(fabric.strategy).__name__ == "SingleDeviceStrategy" and not fabric._callbacks
    if plain and precision in (PRECISIONS["fp32"], PRECISIONS["bf16"]):
        return OneDevice(fabric.device, precision)
    place: Any = _WithFabric(fabric)
    return place  # type: ignore[no-any-return]


def _look_for_gpus_quickly() -> None:
    """Undo what importing Fabric, here or elsewhere, does to a machine without a GPU.

    It makes PyTorch look for GPUs without starting CUDA, and Adam looks at every step: measured,
    up to a tenth of a small network's. Where there is no GPU there is nothing to start, and
    PyTorch's own way to look takes a fiftieth of the time.
    """
    name = "PYTORCH_NVML_BASED_CUDA_CHECK"
    if os.environ.get(name) == "1" and not torch.cuda.is_available():
        os.environ[name] = "0"


def _check_alone() -> None:
    count = os.environ.get("WORLD_SIZE", "1")
    if "TORCHELASTIC_RUN_ID" in os.environ and count != "1":
        raise ValueError(
            f"torchrun started {count} processes, and each would train the whole student and write "
            "the same checkpoint; start it with python (and devices=… for several), or give fit a "
            "launched Fabric."
        )


def _fabric(**options: Any) -> Any:
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment

    # Never a cluster's ranks (SLURM, torchrun): whose processes these are is known here.
    fabric = Fabric(**options, plugins=[LightningEnvironment()])
    fabric.launch()
    return fabric


@contextmanager
def placed(
    module: nn.Module, device: torch.device, *, channels_last: bool | None = None
) -> Iterator[None]:
    """The module on a device inside, in a memory layout; afterwards where and as it was."""
    modes = [(part, part.training) for part in module.modules()]
    before = {name: (tensor.device, tensor.stride()) for name, tensor in _tensors_of(module)}
    layout = torch.channels_last if channels_last else torch.contiguous_format
    try:
        for _, tensor in _tensors_of(module):
            data = tensor.data.to(device)
            if channels_last is not None and tensor.ndim == 4:
                # Not `contiguous`, which leaves the strides of filters of one channel as they are:
                # kernels are chosen by them, with other last digits and a third of the speed.
                data = data.to(memory_format=layout)
            tensor.data = data
        yield
    finally:
        for name, tensor in _tensors_of(module):
            own, strides = before.get(name, (device, tensor.stride()))
            data = tensor.data.to(own)
            if data.stride() != strides:
                data = torch.empty_strided(data.shape, strides, dtype=data.dtype, device=own)
                data.copy_(tensor.data)
            tensor.data = data
        for part, mode in modes:
            part.training = mode


def unwrapped(module: nn.Module) -> nn.Module:
    """The network itself in what `torch.compile` or data parallelism has put around it."""
    for name in ("_orig_mod", "module"):
        inner = dict(module.named_children()).get(name)
        if isinstance(inner, nn.Module) and type(module).__module__.startswith("torch."):
            return unwrapped(inner)
    return module


def _tensors_of(module: nn.Module) -> list[tuple[str, Tensor]]:
    """By name: a network may put another tensor in the place of a buffer while it trains."""
    return [*module.named_parameters(), *module.named_buffers()]


def in_processes(
    work: Work, *modules: nn.Module, device: str, precision: str, devices: int
) -> dict[str, Any]:
    """Call `work(place, *modules)` in as many processes as devices; what the first one returns.

    Processes are spawned, as a notebook's kernel that has used a GPU or threads cannot be forked.
    All of `work` and `modules` travels by pickle, so it must be defined in modules, not in a
    notebook's cells. Each process has its own copy of the modules' weights. The result may hold
    tensors and plain values.

    Raises:
        ChildProcessError: the processes could not start, or one of them failed.
        ValueError: `torchrun` started this process beside others that would train the same.
        KeyboardInterrupt: after the processes have been ended.
    """
    from torch.multiprocessing.spawn import ProcessException, ProcessRaisedException, spawn

    _check_alone()
    kind, _ = kind_and_index(device)
    with tempfile.TemporaryDirectory() as folder, socket.socket() as chosen:
        result = Path(folder) / "result.pt"
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
        chosen.close()
        threads = max(1, torch.get_num_threads() // devices)
        address = _Address(kind, precision, devices, port, threads)
        try:
            arguments = (address, work, modules, result)
            started = spawn(_in_one_process, arguments, nprocs=devices, join=False)
            _wait_for(started)
        except ProcessRaisedException as error:
            raise ChildProcessError(str(error)) from error
        except (PicklingError, AttributeError, ProcessException) as error:
            raise ChildProcessError(f"{_not_started()} ({error}).") from error
        returned: dict[str, Any] = torch.load(result, map_location="cpu", weights_only=True)
        return returned


def _wait_for(started: Any) -> None:
    """Until all have ended; whoever stops waiting leaves none of them behind."""
    try:
        while not started.join():
            pass
    finally:
        for process in started.processes:
            process.kill()  # one that has ended does not mind
            process.join()


def _not_started() -> str:
    """Why a process most likely could not start: it imports the main module first."""
    if hasattr(sys.modules.get("__main__"), "__file__"):
        return (
            'each imports the script first, so start training below `if __name__ == "__main__":`, '
            "and define what travels to them at the top of a module"
        )
    return "what is defined in a notebook's cell cannot travel to them, put it into a module"


class _Address(NamedTuple):
    kind: str
    precision: str
    devices: int
    port: int
    threads: int


def _in_one_process(
    rank: int, address: _Address, work: Work, modules: tuple[nn.Module, ...], result: Path
) -> None:
    master = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(address.port)}
    os.environ.update(master, LOCAL_RANK=str(rank), NODE_RANK="0")
    torch.set_num_threads(address.threads)
    fabric = _fabric(
        accelerator=address.kind,
        devices=address.devices,
        precision=PRECISIONS[address.precision],
        strategy="ddp",
    )
    own = copy.deepcopy(modules)  # what arrives on a CPU is memory shared by all processes
    returned = work(of_fabric(fabric), *own)
    if fabric.is_global_zero:
        torch.save(returned, result)
    fabric.barrier()
    torch.distributed.destroy_process_group()


def check_place(device: str, precision: str, devices: int) -> None:
    """Check for devices that this machine has, in a precision that they have.

    Raises:
        ValueError: an unknown precision, or devices that this machine does not have.
    """
    check_choice(precision, ["auto", *PRECISIONS], name="precision")
    kind, _ = kind_and_index(device)
    if precision == "fp16" and kind == "cpu":
        raise ValueError("precision 'fp16' needs a GPU; use 'bf16' or 'fp32' on a CPU.")
    if check_int(devices, name="devices", least=1) == 1:
        return
    if ":" in str(device) or kind == "mps":
        raise ValueError(f"devices={devices} needs device 'cuda' or 'cpu', not one device alone.")
    gpus = kind == "cuda"
    most = torch.cuda.device_count() if gpus else max(2, os.cpu_count() or 1)
    if devices > most:
        what = f"{most} {'GPUs' if gpus else 'processor cores'}"
        raise ValueError(f"devices={short_repr(devices)}, but this machine has {what}.")


def kind_and_index(device: str | torch.device) -> tuple[str, int]:
    """A device of this machine: "cpu", "cuda" or "mps", and which of them.

    Raises:
        ValueError: what names none, or none that this machine has.
    """
    check_type(device, str, torch.device, name="device")
    kind, _, number = str(device).partition(":")
    available = {"auto": True, "cpu": True, "cuda": torch.cuda.is_available()}
    available["mps"] = torch.backends.mps.is_available()
    numbered = number.isdecimal() and number.isascii() and len(number) < 9
    index = int(number) if numbered else 0
    told = short_repr(str(device))
    if kind not in available or (number and (kind != "cuda" or not numbered)):
        raise ValueError(f"device must be auto, cpu, cuda, cuda:N or mps, got {told}.")
    if not available[kind] or (kind == "cuda" and index >= torch.cuda.device_count()):
        raise ValueError(f"this machine has no device {told}; use device='auto'.")
    if kind == "auto":
        kind = "cuda" if available["cuda"] else "mps" if available["mps"] else "cpu"
    return kind, index
