"""S networks of one architecture as one network: their channels lie side by side.

Convolutions become one grouped convolution, linear layers one batched product, and whatever acts
on every channel alone stays what it is. Measured with ten small students on a CPU, this is faster
than `torch.func.vmap`, which lays its images out image by image and copies them between layers.
"""

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdhelpers._values import require
from kdhelpers.objectives.frozen import is_opaque, settings_of, unsaved_buffers


class SideBySide(nn.Module):
    """One network that computes what each of several does, each on images of its own.

    Logits [B, S, classes] from images [B, S·channels, H, W], those of the first network first.
    Every parameter and buffer is that of all networks, concatenated along its first dimension, so
    one optimiser updates all, and no gradient of one network depends on another.

    Raises:
        ValueError: no network; networks that differ in architecture, or that do more than
            convolution, linear layers, batch normalisation, pooling, activations and
            `flatten(1)`: dropout, for one, would draw other random numbers than it does alone.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.count = len(networks)
        if len({repr(_architecture(network)) for network in networks}) != 1:
            raise ValueError("networks side by side need one architecture; train them with fit.")
        for network in networks:
            hooks = [v for m in network.modules() for n, v in vars(m).items() if "_hooks" in n]
            for p in network.parameters():
                hooks += [p._backward_hooks, p._post_accumulate_grad_hooks]
            if any(hooks) or is_opaque(network) or unsaved_buffers(network):
                raise ValueError("networks side by side hold weights and plain values, no hooks.")
        self.network = copy.deepcopy(networks[0])
        self.training = networks[0].training
        for path, module in self.network.named_modules():
            every = [network.get_submodule(path) for network in networks]
            for name, each in list(module.named_parameters(recurse=False)):
                joined = nn.Parameter(_joined(every, name), requires_grad=each.requires_grad)
                setattr(module, name, joined)
            for name, own in list(module.named_buffers(recurse=False)):
                if own.ndim:  # the number of batches seen is the same for all
                    setattr(module, name, _joined(every, name))

    def forward(self, inputs: Tensor) -> Tensor:
        outputs = self.network(_Values(inputs, self.count))
        if not isinstance(outputs, _Values) or outputs.data.ndim != 2:
            raise ValueError("the networks must return logits [B, C].")
        logits: Tensor = outputs.data.unflatten(1, (self.count, -1))
        return logits

    def state_of(self, number: int) -> dict[str, Tensor]:
        """The `state_dict` of one of the networks; its tensors share memory with ours."""
        return {
            name: tensor.chunk(self.count)[number] if tensor.ndim else tensor
            for name, tensor in self.network.state_dict().items()
        }


class _Values:
    """What all networks hold at one point: [B, S·C, …], seen by a network's code as [B, C, …]."""

    def __init__(self, data: Tensor, count: int) -> None:
        self.data, self.count = data, count

    @property
    def shape(self) -> torch.Size:
        first, channels, *rest = self.data.shape
        return torch.Size([first, channels // self.count, *rest])

    @property
    def ndim(self) -> int:
        return self.data.ndim

    def dim(self) -> int:
        return self.data.ndim

    def size(self, dim: int | None = None) -> torch.Size | int:
        return self.shape if dim is None else self.shape[dim]

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Self:
        whole = start_dim == 1 and end_dim in (-1, self.ndim - 1)
        require(whole, "several networks side by side can only flatten(1).")
        return type(self)(self.data.flatten(1), self.count)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"several networks side by side know no '{name}'")

    @classmethod
    def __torch_function__(
        cls,
        function: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        values, *others = args
        if function is torch.flatten:
            return values.flatten(*others, **(kwargs or {}))
        act = _FUNCTIONS.get(function)
        known = isinstance(values, cls) and (act or function in _OF_EACH_CHANNEL)
        require(known, f"several networks side by side know no '{function.__name__}'", TypeError)
        act = partial(act, values.count) if act else function
        return cls(act(values.data, *others, **(kwargs or {})), values.count)


def _convolution(
    count: int,
    data: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    return F.conv2d(data, weight, bias, stride, padding, dilation, groups * count)


def _linear(count: int, data: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    inputs = data.unflatten(1, (count, -1)).transpose(0, 1)  # [S, B, in]
    weights = weight.unflatten(0, (count, -1)).transpose(1, 2)  # [S, in, out]
    if bias is None:
        outputs = torch.bmm(inputs, weights)
    else:
        outputs = torch.baddbmm(bias.view(count, 1, -1), inputs, weights)
    return outputs.transpose(0, 1).flatten(1)


_FUNCTIONS: dict[Any, Callable[..., Tensor]] = {F.conv2d: _convolution, F.linear: _linear}
_OF_EACH_CHANNEL = {  # which do not care whose channel it is
    *(F.relu, torch.relu, F.leaky_relu, F.gelu, F.silu, torch.tanh, torch.sigmoid),
    *(F.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d, F.batch_norm),
}


def _joined(modules: Sequence[nn.Module], name: str) -> Tensor:
    tensors = [cast(Tensor, getattr(module, name)).detach() for module in modules]
    if tensors[0].ndim == 0:
        raise ValueError(f"the parameter '{name}' is a single number; it has no side to lie by.")
    return torch.cat(tensors)


def refusal(networks: Sequence[nn.Module], images: Sequence[Tensor]) -> str | None:
    """Why networks cannot lie side by side, or None: they are asked about some images each."""
    try:
        stack = SideBySide(networks).cpu()
        with torch.no_grad():
            for step, weights in enumerate(stack.parameters(), 1):  # others, where any are alike
                each = torch.arange(weights.numel())
                weights.add_(((step * each).sin() * each / len(each) / 4).view_as(weights))
            together = stack(torch.cat(list(images), 1).cpu()).unbind(1)
            for number, network in enumerate(networks):
                alone = copy.deepcopy(network).cpu()
                alone.load_state_dict(stack.state_of(number))
                answer = alone(images[number].cpu())
                differ = (answer - together[number]).abs() > 1e-3 * answer.abs().max()
                require(not differ.any(), "networks side by side answer otherwise than alone.")
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        return str(error)
    return None


def _architecture(network: nn.Module) -> tuple[Any, ...]:
    trained = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    state = network.state_dict().items()  # the number of batches seen counts by its value
    shapes = [(name, tuple(tensor.shape) or tensor.item()) for name, tensor in state]
    modes = [part.training for part in network.modules()]
    return type(network), repr(network), settings_of(network), shapes, trained, modes
