"""A teacher: a frozen network that answers for each image, and controls that know less than it."""

import hashlib
import threading
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from kdhelpers._random import generator, mixed_seed
from kdhelpers._values import check_type, require, short_repr
from kdhelpers.data.batching import Batch, Views
from kdhelpers.data.split import Split
from kdhelpers.evaluation import (
    ASKED,
    accuracy,
    ask,
    logits_of,
    predict,
    warn_if_odd,
    warn_if_probabilities,
)
from kdhelpers.objectives.frozen import fingerprint, frozen, is_opaque

AskTeacher = Callable[[Batch], Tensor]


class Teacher:
    """A frozen network whose logits are computed once where that is exact.

    Always in eval mode and without gradients; the network itself is left as it is, a copy of it
    does the work (one for each thread, so students that train at the same time may share a
    `Teacher`). Logits are kept for every (sample, view) of a split, under a key made of the
    teacher's weights, the data and the views, so neither shuffling nor another data set nor
    further training of the teacher can misalign them; where they are computed anew, those of
    weights that are gone are dropped. Pictures that an objective has mixed or changed are not
    looked up: the network is asked about them.

    Args:
        model: the network, logits [B, C] from images [B, channels, H, W]. It may hold what is no
            weight, such as a session of ONNX Runtime, which then is not copied.
        cache: True keeps logits, False asks the network at every step, None (default) keeps
            them where it saves work: if there are no more views than epochs.

    Raises:
        ValueError: `model` is no network, or `cache` none of the three.
    """

    model: nn.Module | None  # None: there are answers only
    _shuffled: bool = False  # whether an image gets the answer to another one, also a changed one

    def __init__(self, model: nn.Module, *, cache: bool | None = None) -> None:
        remedy = "wrap a function or a session in one, and several networks in one that averages"
        told = f"the teacher must be a Module, got {short_repr(model)}; {remedy}."
        require(isinstance(model, nn.Module), told)
        check_type(cache, bool, type(None), name="cache")
        self.model = model
        self.cache = cache
        self._tables: dict[tuple[str, str, Views | str], Tensor] = {}
        self._classes: dict[tuple[str, tuple[int, ...]], list[int]] = {}
        self._lock, self._copies = threading.RLock(), threading.local()

    def __getstate__(self) -> dict[str, Any]:
        """What travels to another process."""
        return {name: self.__dict__[name] for name in self.__dict__.keys() - {"_lock", "_copies"}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state | {"_lock": threading.RLock(), "_copies": threading.local()}

    def identity(self, train: Split | None = None) -> str:
        """SHA-256 of what makes this teacher: the network's structure and weights.

        Where it has none, or holds what is neither weight nor setting (a session, an array), its
        rounded answers to a few images of `train` are told, too.
        """
        weights = fingerprint(self._network())
        if train is None or not is_opaque(self._network()):
            return weights
        few = train.select(range(min(ASKED, len(train))))
        answers = self.logits(few)
        largest = float(answers.abs().max())
        rounded = (100 * answers / max(largest, 1e-30)).round().tolist()
        told = f"{weights} {largest:.2e} {rounded}"
        return hashlib.sha256(told.encode()).hexdigest()

    def check(self, student: nn.Module, train: Split) -> None:
        """Refuse a teacher that cannot teach this student, and warn of one that hardly can.

        A few images tell, asked about once.

        Raises:
            ValueError: it has other classes, or does not take the images.
        """
        images = train.normalise(train.images[:2]).to(next(student.parameters()).device)
        wanted = list(ask(student, images).shape[1:])
        key = (self.identity(train), tuple(train.images.shape[1:]))
        if self.model is not None:
            _warn_if_shared(student, self.model)
        if self._classes.get(key) == wanted:
            return
        few = train.select(range(min(ASKED, len(train))))
        answers = self.logits(few)
        told = "the teacher answers with NaN or infinity; look for weights that diverged"
        require(answers.isfinite().all(), f"{told}.")
        found = list(answers.shape[1:])
        told = f"the teacher answers an image with logits {found}, the student with {wanted}"
        remedy = "give both the same classes, or keep the columns that the student has"
        require(found == wanted, f"{told}; {remedy}.")
        warn_if_odd(answers, self.logits(few.select(range(0, len(few), 2))), "teacher")
        warn_if_probabilities(answers, "teacher")
        self._classes[key] = found

    def judge(self, answers: AskTeacher, train: Split) -> dict[str, float]:
        """`teacher_accuracy` on the labelled images as they are, if there is a table.

        Warns of one below chance, for which there are few reasons.
        """
        known = train.labels >= 0
        if not isinstance(answers, LookUp) or not bool(known.any()):
            return {}
        logits, count = answers.table[0][known], int(known.sum())
        right, chance = accuracy(logits, train.labels[known]), 1 / logits.shape[1]
        least = chance - 2 * (chance * (1 - chance) / count) ** 0.5
        if right < least and not answers.teacher._shuffled:
            warnings.warn(
                f"the teacher is right on {right:.1%} of the transfer set, less than chance "
                f"({chance:.1%}): is it trained, with this order of classes, and on images "
                "normalised like these?",
                stacklevel=2,
            )
        return {"teacher_accuracy": right}

    def prepare(self, train: Split, views: Views, epochs: int) -> AskTeacher:
        """The function that gives the logits [B, C] of each batch of `train`, on its device.

        It looks them up in a table, computed now unless it is remembered, or asks the network
        at every step. Each run holds its own function, so runs that share a teacher cannot get
        each other's logits.

        Raises:
            ValueError: a network that does not take the images, or answers that lack some of them.
        """
        wanted = len(views) <= epochs if self.cache is None else self.cache
        if not wanted:
            return partial(self.ask, self.frozen(train.images.device))
        return LookUp(self.table(train, views), self, train, views)

    def table(self, train: Split, views: Views) -> Tensor:
        """The logits [views, N, C] of every sample in every view, on the device of `train`."""

        def compute() -> Tensor:
            network = self.frozen(train.images.device)
            return torch.stack(
                [predict(network, train, views=views, view=v) for v in range(len(views))]
            )

        return self.remembered(train, views, compute)

    def remembered(self, train: Split, what: Views | str, compute: Callable[[], Tensor]) -> Tensor:
        """What it said of a split, its logits in these views or a layer's features by its path."""
        with self._lock:
            key = identity, of, _ = (self.identity(train), train.fingerprint, what)
            if key not in self._tables:
                opaque = is_opaque(self._network())  # then its identity is another for each split
                self._tables = {
                    each: table
                    for each, table in self._tables.items()
                    if each[0] == identity or (opaque and each[1] != of)
                }
                self._tables[key] = compute()
            return self._tables[key].to(train.images.device)

    def logits(self, split: Split, *, views: Views | None = None, view: int = 0) -> Tensor:
        """The logits [N, C] of all images of a split, in view number `view` of `views`.

        Raises:
            ValueError: as for `prepare`, or views that have no such view.
        """
        return predict(self.frozen(split.images.device), split, views=views, view=view)

    def frozen(self, device: torch.device) -> nn.Module:
        """This thread's copy of the network as it is now: on the device, in eval mode."""
        network = self._network()
        with self._lock:
            key = (fingerprint(network), device)
            if getattr(self._copies, "key", None) != key or is_opaque(network):
                self._copies.key, self._copies.model = key, frozen(network, device)
            found: nn.Module = self._copies.model
            return found

    def _network(self) -> nn.Module:
        if self.model is None:
            told = "recorded or shuffled answers have no network to ask or to look into"
            remedy = "call prepare with their split before a step of your own, or give the network"
            raise ValueError(f"{told}; {remedy}.")
        return self.model

    @staticmethod
    def ask(model: nn.Module, batch: Batch) -> Tensor:
        """The logits [B, C] of a frozen network for a batch, in its precision as for a table."""
        kind = batch.inputs.device.type
        with torch.no_grad(), torch.autocast(kind, enabled=False):
            # A copy: networks may change their inputs in place.
            logits = logits_of(model(batch.inputs.clone()))
        return logits.float().to(batch.inputs.device)


def as_teacher(teacher: nn.Module | Teacher) -> Teacher:
    """`teacher` itself where it is one, else a new one around the network.

    It is no module, so its weights are not among those of an objective that holds it.
    """
    return teacher if isinstance(teacher, Teacher) else Teacher(teacher)


class LookUp:
    """The logits of each batch from a table [views, N, C], that of `train` in `views`.

    Pictures of another split, or that are not as `batches` made them, are not those of the table;
    changed ones are looked up only where that does not matter: of a teacher that is shuffled.
    """

    def __init__(self, table: Tensor, teacher: Teacher, train: Split, views: Views) -> None:
        self.table, self.teacher = table, teacher
        self.of = train.fingerprint, views
        self.network: nn.Module | None = None

    def __call__(self, batch: Batch) -> Tensor:
        its_own, shuffled = batch.is_of(*self.of), self.teacher._shuffled
        if its_own and (shuffled or batch.is_as_made()):
            return self.table[batch.view, batch.sample]
        told = "the batch is of another split than the one that the teacher's answers were mixed"
        require(its_own or not shuffled, f"{told} for; call prepare with it.")
        if self.network is None:
            told = "the pictures of this batch are of another split, mixed, changed or made by hand"
            remedy = "mix the answers, or let a Teacher ask its network"
            known = self.teacher.model is not None
            require(known, f"{told}, and recorded answers know only the others; {remedy}.")
            remedy = "Teacher(network, cache=False) saves the table and this warning"
            told = f"{told}: the teacher's network is asked about them at every step"
            warnings.warn(f"{told}; {remedy}.", stacklevel=2)
            self.network = self.teacher.frozen(batch.inputs.device)
        return Teacher.ask(self.network, batch)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"network": None}


def _warn_if_shared(student: nn.Module, teacher: nn.Module) -> None:
    """Training must not change the teacher of whoever comes next; this run asks a copy."""
    trained = {p.data_ptr() for p in student.parameters() if p.requires_grad and p.numel()}
    if shared := [name for name, p in teacher.named_parameters() if p.data_ptr() in trained]:
        told = f"student and teacher share {len(shared)} parameters ({shared[0]} …)"
        remedy = "training changes both, so the next run has another teacher; use copy.deepcopy"
        warnings.warn(f"{told}: {remedy}.", stacklevel=2)


class ShuffledTeacher(Teacher):
    """A teacher that answers each image with its logits for another image of the split.

    Always the same one; in a subset, or another order, it is another. The targets keep their
    softness and the classes' shares, but say nothing about the image. It is also what a cache gives
    that is addressed by position in a shuffled batch. It has no hidden layers, which would not be
    shuffled.

    Args:
        teacher: the network, logits [B, C], or a `Teacher`, with which it then shares what that
            one remembers.
        seed: which image stands for which; default 0.

    Raises:
        ValueError: no network, or a seed that is no whole number from 0.
    """

    _shuffled = True

    def __init__(self, teacher: nn.Module | Teacher, *, seed: int = 0) -> None:
        mixed_seed(seed)  # refuses what is none
        self.teacher, self.seed = as_teacher(teacher), seed
        self.model, self.cache = None, True  # the network itself would say what is true

    def check(self, student: nn.Module, train: Split) -> None:
        self.teacher.check(student, train)

    def identity(self, train: Split | None = None) -> str:
        return f"shuffled {self.seed} {self.teacher.identity(train)}"

    def table(self, train: Split, views: Views) -> Tensor:
        table = self.teacher.table(train, views)
        return table[:, self._other(train).to(table.device)]

    def logits(self, split: Split, *, views: Views | None = None, view: int = 0) -> Tensor:
        logits = self.teacher.logits(split, views=views, view=view)
        return logits[self._other(split).to(logits.device)]

    def _other(self, split: Split) -> Tensor:
        order = torch.randperm(len(split), generator=generator(self.seed, len(split)))
        other = torch.empty_like(order)
        other[order] = order.roll(1)  # one long cycle: no image keeps its own logits
        return other
