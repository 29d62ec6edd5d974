"""A teacher: a frozen network that answers for each image, and controls that know less than it."""

import copy
import hashlib
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from kdhelpers import _tensors
from kdhelpers._random import generator, mixed_seed
from kdhelpers._values import check_type
from kdhelpers.data.batching import Batch, Views
from kdhelpers.data.split import Split
from kdhelpers.evaluation import logits_of, precision_of, predict, set_to_eval

AskTeacher = Callable[[Batch], Tensor]


class Teacher:
    """A frozen network whose logits are computed once where that is exact.

    Always in eval mode and without gradients; the network itself is left as it is, a copy of it
    does the work (one for each thread, so students that train at the same time may share a
    `Teacher`). Logits are kept for every (sample, view) of a split, under a key made of the
    teacher's weights, the data and the views, so neither shuffling nor another data set nor
    further training of the teacher can misalign them.

    Args:
        model: the network, logits [B, C] from images [B, channels, H, W].
        cache: True keeps logits, False asks the network at every step, None (default) keeps
            them where it saves work: if there are no more views than epochs.

    Raises:
        ValueError: `model` is no network, or `cache` none of the three.
    """

    def __init__(self, model: nn.Module, *, cache: bool | None = None) -> None:
        check_type(model, nn.Module, name="the teacher")
        check_type(cache, bool, type(None), name="cache")
        self.model = model
        self.cache = cache
        self._tables: dict[tuple[str, str, Views], Tensor] = {}
        self._lock, self._copies = threading.RLock(), threading.local()

    def __getstate__(self) -> dict[str, Any]:
        """What travels to another process."""
        return {name: self.__dict__[name] for name in self.__dict__.keys() - {"_lock", "_copies"}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state | {"_lock": threading.RLock(), "_copies": threading.local()}

    @classmethod
    def of(cls, teacher: "nn.Module | Teacher") -> "Teacher":
        """`teacher` itself where it is one, else a new one around the network.

        It is no module, so its weights are not among those of an objective that holds it.
        """
        return teacher if isinstance(teacher, Teacher) else cls(teacher)

    def prepare(self, train: Split, views: Views, epochs: int) -> "AskTeacher":
        """The function that gives the logits [B, C] of each batch of `train`, on its device.

        It looks them up in a table, computed now unless it is remembered, or asks the network
        at every step. Each run holds its own function, so runs that share a teacher cannot get
        each other's logits.

        Raises:
            ValueError: a network without weights, or one that does not take the images.
        """
        device = train.images.device
        wanted = len(views) <= epochs if self.cache is None else self.cache
        if not wanted:
            return partial(self.ask, self.frozen(device))
        with self._lock:
            weights = fingerprint(self.model)
            key = (weights, train.fingerprint, views)
            if key not in self._tables:
                self._tables[key] = _every_view(self.frozen(device, weights), train, views)
            return partial(_look_up, self._tables[key].to(device))

    def frozen(self, device: torch.device, weights: str = "") -> nn.Module:
        """This thread's copy of the network as it is now: on the device, in eval mode.

        `weights` is its fingerprint, from whoever has it already.
        """
        with self._lock:
            key = (weights or fingerprint(self.model), device)
            if getattr(self._copies, "key", None) != key:
                model = copy.deepcopy(self.model).requires_grad_(False)
                set_to_eval(model)
                model.to(device).to(memory_format=torch.channels_last)
                if (dtype := precision_of(model)) is not torch.float32:
                    model.register_forward_pre_hook(partial(_cast, dtype))
                self._copies.key, self._copies.model = key, model
            found: nn.Module = self._copies.model
            return found

    @staticmethod
    def ask(model: nn.Module, batch: Batch) -> Tensor:
        """The logits [B, C] of a frozen network for a batch."""
        with torch.no_grad():
            return logits_of(model(batch.inputs)).float()


def _cast(dtype: torch.dtype, _model: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(tensor.to(dtype) for tensor in inputs)


def _every_view(model: nn.Module, train: Split, views: Views) -> Tensor:
    """Logits [views, N, C] of all samples, in a fixed order and batch size."""
    each = [predict(model, train, views=views, view=view) for view in range(len(views))]
    return torch.stack(each)


def _look_up(table: Tensor, batch: Batch) -> Tensor:
    return table[batch.view, batch.sample]


def fingerprint(model: nn.Module) -> str:
    """SHA-256 of a network's structure (its `repr`), weights and buffers.

    Two networks with the same one compute the same, unless the code of a `forward` was edited.

    Raises:
        ValueError: no network, or one without weights, on the device "meta".
    """
    _tensors.check_network(model)
    digest = hashlib.sha256(f"{type(model).__qualname__} {model!r}".encode())
    for name, value in model.state_dict().items():
        _add(digest, name, value)
    return digest.hexdigest()


def _add(digest: Any, name: str, value: Any) -> None:
    """A value of a `state_dict`; those of quantised layers are tuples, and types, too."""
    if isinstance(value, tuple):
        for number, each in enumerate(value):
            _add(digest, f"{name}.{number}", each)
    elif isinstance(value, Tensor):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        tensor = value.dequantize() if value.is_quantized else value.detach()
        digest.update(tensor.cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    else:
        digest.update(f"{name} {value!r}".encode())


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
            self._tables, self._lock = teacher._tables, teacher._lock
        mixed_seed(seed)  # refuses what is none
        self.seed = seed

    def prepare(self, train: Split, views: Views, epochs: int) -> AskTeacher:
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
