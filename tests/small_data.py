"""A small split and a small network for tests that train something, and a way to interrupt it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from kdhelpers import data
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


def fewer(load: Callable[..., data.DataSet], name: str, **options: Any) -> data.DataSet:
    """The data set as it is loaded, with a part of its samples."""
    whole = load(name, **options)
    count = 320 if name == "digits" else 500
    parts = whole.train.take(count), whole.validation.take(100), whole.test.take(200)
    return data.DataSet(name, *parts)


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


@contextmanager
def interrupted_at(step: int) -> Iterator[None]:
    """Ends in a KeyboardInterrupt before the optimiser's step of this number, counted from 0."""
    left = iter(range(step))

    def stop(*_: object) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt

    handle = register_optimizer_step_pre_hook(stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        handle.remove()
