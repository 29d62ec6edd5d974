"""Where training runs: one device, or several processes with a device each (Lightning Fabric)."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from torch import nn

PRECISIONS: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "fp32": "32-true",
    "bf16": "bf16-mixed",
    "fp16": "16-mixed",
}


def make_fabric(device: str = "auto", precision: str = "fp32", *, devices: int = 1) -> Fabric:
    """A `Fabric` on one device ("auto", "cpu", "cuda", "cuda:1" or "mps") or on several.

    With one device it is launched; with several, `in_processes` launches it.

    Raises:
        ValueError: an unknown precision, or devices that this machine does not have.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}.")
    kind, _, number = device.partition(":")
    available = {"auto": True, "cpu": True, "cuda": torch.cuda.is_available()}
    available["mps"] = torch.backends.mps.is_available()
    index = int(number) if number.isdigit() else 0
    if kind not in available or (number and (kind != "cuda" or not number.isdigit())):
        raise ValueError(f"device must be auto, cpu, cuda, cuda:N or mps, got {device!r}.")
    if not available[kind] or (kind == "cuda" and index >= torch.cuda.device_count()):
        raise ValueError(f"this machine has no device {device!r}; use device='auto'.")
    if kind == "auto":
        kind = "cuda" if available["cuda"] else "mps" if available["mps"] else "cpu"
    if precision == "fp16" and kind == "cpu":
        raise ValueError("precision 'fp16' needs a GPU; use 'bf16' or 'fp32' on a CPU.")
    if devices > 1:
        _check_several(kind, number, devices)
        return Fabric(
            accelerator=kind, devices=devices, precision=PRECISIONS[precision], strategy="ddp_spawn"
        )
    chosen: list[int] | int = [index] if kind == "cuda" else 1
    fabric = Fabric(accelerator=kind, devices=chosen, precision=PRECISIONS[precision])
    fabric.launch()
    return fabric


def in_processes(fabric: Fabric, work: Callable[..., Any], *modules: nn.Module) -> Any:
    """Call `work(fabric, *modules)` in every process and return what the first one returns.

    All of it travels by pickle, so it must be defined in modules, not in a notebook's cells. Each
    process gets its own copy of the weights in `modules`; other tensors on a CPU are shared.
    """
    return fabric.launch(work, *modules)


def _check_several(kind: str, number: str, devices: int) -> None:
    if number or kind == "mps":
        raise ValueError(f"devices={devices} needs device 'cuda' or 'cpu', not one device alone.")
    if kind == "cuda" and devices > torch.cuda.device_count():
        raise ValueError(
            f"devices={devices}, but this machine has {torch.cuda.device_count()} GPUs."
        )
