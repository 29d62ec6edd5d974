"""Where training runs, one device, and in which precision."""

import os
import platform
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from kdhelpers._values import check_type, require, short_repr

PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed"}  # and what checkpoints call them
PRECISION_NAMES = {kept: name for name, kept in PRECISIONS.items()}
NAMES = r"(auto|cpu|mps|cuda)|cuda:([0-9]{1,8})"
WORTH_IT = 1e9  # multiply-accumulates of a step from which bf16 pays; see benchmarks/precision.py


def device_for(device: str) -> torch.device:
    """One device of this machine, for a process that `torchrun` has not started beside others."""
    count = os.environ.get("WORLD_SIZE", "1")
    if "TORCHELASTIC_RUN_ID" in os.environ and count != "1":
        told = f"torchrun started {count} processes; each would train all and write one checkpoint"
        raise ValueError(f"{told}: a student trains on one device; start it with python.")
    kind, index = kind_and_index(device)
    return torch.device(kind, index) if kind == "cuda" else torch.device(kind)


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


@contextmanager
def placed(
    module: nn.Module, device: torch.device, *, channels_last: bool | None = None
) -> Iterator[None]:
    """The module on a device inside, in a memory layout; afterwards in the memory that it had."""
    modes = [(part, part.training) for part in module.modules()]
    before = {name: (tensor, tensor.data) for name, tensor in _tensors_of(module)}
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
            known, own = before.get(name, (tensor, tensor.data))
            same = known is tensor and own.shape == tensor.shape and own.dtype == tensor.dtype
            moved = own.data_ptr() != tensor.data_ptr()
            # In the memory that it had: somebody else may hold it, as a `state_dict` does.
            tensor.data = own.copy_(tensor.data) if same and moved else tensor.data.to(own.device)
        for part, mode in modes:
            part.training = mode


def _tensors_of(module: nn.Module) -> list[tuple[str, Tensor]]:
    """By name: a network may put another tensor in the place of a buffer while it trains."""
    return [*module.named_parameters(), *module.named_buffers()]


def kind_and_index(device: str | torch.device) -> tuple[str, int]:
    """A device that this machine has: "cpu", "cuda" or "mps", and which of them."""
    check_type(device, str, torch.device, name="device")
    told, named = short_repr(str(device)), re.fullmatch(NAMES, str(device))
    if not named:
        raise ValueError(f"device must be auto, cpu, cuda, cuda:N or mps, got {told}.")
    kind, index = named[1] or "cuda", int(named[2] or 0)
    counts = {"cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0}
    counts |= {"mps": int(torch.backends.mps.is_available()), "cpu": 1}
    if kind == "auto":
        kind = next(each for each, count in counts.items() if count)
    require(index < counts[kind], f"this machine has no device {told}; use device='auto'.")
    return kind, index
