"""Controls: teachers with something taken away, to find out what a student gains from."""

import torch

from kdhelpers._seeding import generator, mixed_seed
from kdhelpers._values import instance
from kdhelpers.data import Batch, Split, Views
from kdhelpers.distillation import AskTeacher, Teacher


class ShuffledTeacher(Teacher):
    """A teacher that answers each image with its logits for another, always the same, image.

    The targets keep their softness and the classes' shares, but say nothing about the image. It
    is also what a cache gives that is addressed by position in a shuffled batch.

    Args:
        teacher: the network, logits [B, C], or a `Teacher`, with which it then shares what that
            one remembers.
        seed: which image stands for which; default 0.

    Raises:
        ValueError: no network, or a seed that is no whole number from 0.
    """

    def __init__(self, teacher: torch.nn.Module | Teacher, *, seed: int = 0) -> None:
        super().__init__(teacher.model if isinstance(teacher, Teacher) else teacher, cache=True)
        if isinstance(teacher, Teacher):
            self._tables = teacher._tables
        mixed_seed(seed)  # refuses what is none
        self.seed = seed

    def prepare(self, train: Split, views: Views, epochs: int) -> AskTeacher:
        instance(train, Split, name="train")
        order = torch.randperm(len(train), generator=generator(self.seed, len(train)))
        other = torch.empty_like(order)
        other[order] = order.roll(1)  # one long cycle: no image keeps its own logits
        return _Elsewhere(super().prepare(train, views, epochs), other.to(train.images.device))


class _Elsewhere:
    """Looks up the logits of another image; a class, so that it can travel to other processes."""

    def __init__(self, ask: AskTeacher, other: torch.Tensor) -> None:
        self.ask = ask
        self.other = other

    def __call__(self, batch: Batch) -> torch.Tensor:
        return self.ask(batch._replace(sample=self.other[batch.sample]))
