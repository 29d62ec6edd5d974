"""The small networks of the checks: fixed weights, and in lesson 04 layers `lower` and `upper`.

Maps are [B, channels, H, W]; convolution, norm and ReLU are modules of their own, and every ReLU
works in place, as in the networks of the model zoos.
"""

from collections import OrderedDict
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import vector_to_parameters

from kdhelpers.checks.exercise import numbers

CLASSES = 3
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
HOOK_LEFT = (
    "A hook stays on the network: each call adds one more, and all of them run at every later "
    "forward pass. Keep the handle that `register_forward_hook` returns, and call its `remove()`."
)

Module = TypeVar("Module", bound=nn.Module)


def with_fixed_weights(network: Module, seed: int) -> Module:
    """The network in float32 with weights and running means that depend on the seed alone."""
    network.to(dtype=torch.float32)
    parameters = list(network.parameters())
    vector_to_parameters(0.4 * numbers(seed, sum(p.numel() for p in parameters)), parameters)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.get_buffer("running_mean").copy_(0.3 * numbers(seed + 1, module.num_features))
    return network


def _block(from_channels: int, channels: int) -> nn.Sequential:
    conv = nn.Conv2d(from_channels, channels, kernel_size=3, padding=1)
    norm, relu = nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
    return nn.Sequential(OrderedDict(conv=conv, norm=norm, relu=relu))


def _head(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, CLASSES))


class Network(nn.Module):
    """Images [B, 1, H, W] to logits [B, 3]. It pools between its blocks, which is no module:
    who calls one module after the other misses it."""

    def __init__(self) -> None:
        super().__init__()
        self.lower = _block(1, 3)
        self.upper = _block(3, 4)
        self.head = _head(4)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.upper(F.avg_pool2d(self.lower(images), 2)))
        return logits


def hooks(network: nn.Module) -> set[tuple[str, str, int]]:
    """Path of the module, kind and key of every hook."""
    return {
        (path, kind, key)
        for path, module in network.named_modules()
        for kind in _HOOKS
        for key in getattr(module, kind)
    }


def halves(channels: int) -> nn.Sequential:
    """A network in two halves: `lower` ends in a norm with `channels` channels, `upper` begins
    with its ReLU and ends in logits [B, 3]."""
    upper = nn.Sequential(nn.ReLU(inplace=True), _head(channels))
    return nn.Sequential(OrderedDict(lower=_block(1, channels)[:-1], upper=upper))
