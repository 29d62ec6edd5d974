"""A small split and a small network for tests that train something, and a way to interrupt it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import pytest
import torch
from torch import Tensor, nn

from kdhelpers.data.split import Split
from kdhelpers.models import initial_weights

SHAPE = (1, 8, 8)


def split(count: int = 40, classes: int = 3, *, seed: int = 0) -> Split:
    """Images [count, 1, 8, 8] whose brightest third tells the class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (count,), generator=generator)
    images = torch.randint(90, (count, *SHAPE), generator=generator).to(torch.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, int(label) * 2 : int(label) * 2 + 2] += 120
    names = tuple(str(number) for number in range(classes))
    return Split(images, labels, (0.3,), (0.25,), names)


class Small(nn.Module):
    """Convolution, batch normalisation, dropout, linear: everything that has a mode."""

    def __init__(self, classes: int = 3, *, width: int = 4, seed: int = 0) -> None:
        super().__init__()
        with initial_weights(seed):
            self.conv = nn.Conv2d(
                1, width, 3, padding=1, bias=False
            )  # Adam would blow up its noise
            self.norm = nn.BatchNorm2d(width)
            self.drop = nn.Dropout(0.2)
            self.head = nn.Linear(width * 64, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.drop(torch.relu(self.norm(self.conv(inputs))).flatten(1)))


def weights(model: nn.Module) -> dict[str, Tensor]:
    """A copy of a network's state."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """Equal bit for bit."""
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


# Nothing that a checkpoint would take for another loss: no attribute, no global of its code.
_STOP: ContextVar[tuple[int, str] | None] = ContextVar("_STOP", default=None)


@contextmanager
def interrupted_at(step: int, of: str = "") -> Iterator[None]:
    """Ends in a KeyboardInterrupt when `may_be_interrupted` is called with this number."""
    token = _STOP.set((step, of))
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        _STOP.reset(token)


def may_be_interrupted(step: int, of: str = "") -> None:
    if _STOP.get() == (step, of):
        raise KeyboardInterrupt
