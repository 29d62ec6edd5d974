"""Several students at once: a small network leaves much of a processor idle.

`run_arms` calls the runs of an experiment in threads. `fit_many` trains students side by side as
one network where they can lie so, and one by one in threads where not.
"""

import copy
import hashlib
import sys
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar, cast

import torch
from torch import nn

from kdhelpers._values import (
    MOST,
    check_callable,
    check_int,
    check_list,
    check_type,
    processors,
    require,
    short_repr,
)
from kdhelpers.data.batching import Batch, Origin, Views, batches
from kdhelpers.data.split import Split
from kdhelpers.objectives.distillation import Distillation, Faded
from kdhelpers.objectives.objective import Objective, Supervised, Terms
from kdhelpers.training.fit import fit, recipe_of
from kdhelpers.training.loop import History, Row, train_student, validated
from kdhelpers.training.own_code import own_code
from kdhelpers.training.recipe import Recipe, check_student, file_of_run, with_precision
from kdhelpers.training.side_by_side import SideBySide, refusal
from kdhelpers.training.threads import in_threads

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
Run = tuple[nn.Module, Objective, Split, int]  # the last is the seed


def run_arms(
    arms: Mapping[K, Callable[[int], T]] | Sequence[K],
    seeds: Sequence[int],
    *,
    run: Callable[[int, K], T] | None = None,
    workers: int = 1,
) -> dict[K, list[T]]:
    """Call every arm of an experiment with every seed; what they return, arm by arm.

        results = run_arms({"alone": alone, "distilled": distilled}, seeds=[0, 1, 2], workers=2)
        results["alone"]  # [{"accuracy": …, "seed": 0}, …]

    Args:
        arms: for each arm a function of a seed that trains a student of its own and returns its
            figures, a dict, to which the seed is added (anything else is handed back as it is).
            After the first one that takes long, a line tells how long the others may take.
            A `Teacher` may be shared.
        run: one function for all arms, called as `run(seed, arm)`; `arms` are then their names.
        workers: with more than 1 no arm may call `torch.manual_seed`, as threads share PyTorch's
            random state: build your networks inside `kdhelpers.models.initial_weights(seed)`.
            So many runs at a time, default 1; never more than there are processors. Each has its
            share of the CPU's threads. The results are those of one after the other with as many
            threads, bit for bit.

    Raises:
        ValueError: `workers` is not a whole number of at least 1, an arm is no function or `seeds`
            no list of different whole numbers; or, from `fit` with more than one worker, a student
            that draws random numbers (dropout), which the others would mix up.
        Exception: whatever a run raised; those that have not started are given up.
        KeyboardInterrupt: Ctrl-C ends every run after the training step in progress; what its
            checkpoint holds is kept.
    """
    of: Any = arms
    if run is None:
        check_type(arms, Mapping, name="arms")
        for arm in arms:
            check_callable(of[arm], name=f"the arm {short_repr(arm)}", called="run(seed)")
    else:
        check_callable(run, name="run", called="run(seed, arm)")
        check_type(arms, Mapping, list, tuple, name="arms")
    check_int(workers, name="workers", least=1)
    check_list(seeds, object, name="seeds")
    seeds = [check_int(seed, name="each of seeds", least=-MOST) for seed in seeds]
    told = f"seeds must differ, got {short_repr(seeds)}: a pair of runs is known by its seed."
    require(len({*seeds}) == len(seeds), told)
    forecast = _Forecast(len(arms) * len(seeds), min(workers, processors()))

    def with_seed(seed: int, arm: K) -> Any:
        started = time.perf_counter()
        figures = of[arm](seed) if run is None else run(seed, arm)
        forecast.after(time.perf_counter() - started)
        return figures | {"seed": seed} if isinstance(figures, dict) else figures

    runs = [partial(with_seed, seed, arm) for arm in arms for seed in seeds]
    results = iter(in_threads(runs, workers))
    return {arm: [next(results) for _ in seeds] for arm in arms}


class _Forecast:
    """Tells once, after the first run that takes time, how long the others will."""

    def __init__(self, left: int, workers: int) -> None:
        self.left, self.workers, self.told = left, workers, False

    def after(self, seconds: float) -> None:
        self.left -= 1
        minutes = self.left * seconds / self.workers / 60
        if minutes > 10 and not self.told:
            self.told = True
            told = f"a run took {seconds:.0f} s, the other {self.left} may take {minutes:.0f} min"
            print(told, file=sys.stderr)  # `kdhelpers run` shows it beside its progress


def fit_many(
    students: Sequence[nn.Module],
    objectives: Sequence[Objective],
    trains: Sequence[Split],
    recipe: Recipe | None = None,
    *,
    seeds: Sequence[int],
    workers: int = 1,
    validation: Split | None = None,
    run: str = "",
    progress: bool = True,
    **settings: Any,
) -> list[History]:
    """Train many small students in place; each ends as `fit` alone would train it.

    Student number i learns from `trains[i]`, in the order of `seeds[i]`, on `objectives[i]`.
    Students of one architecture (of the layers that `SideBySide` knows) with splits of one size
    and objectives that ask for logits only (`Supervised`, `Distillation`, either one `Faded`) are
    trained side by side as one network, in as many parts as `workers`: that saves the overhead of
    every step, which most of a small network's time goes into, and agrees with `fit` up to
    rounding (but a `soft_loss` that draws random numbers draws others). All others are trained one
    by one, `workers` at a time.

    Args:
        students: networks, each an object of its own.
        objectives: one for each, with a learned temperature of its own, if any. They may share a
            `Teacher`.
        trains: one split for each, such as `split.take(50, seed=seed)`.
        recipe, settings: as for `fit`; an installed optimiser must treat every weight by itself,
            as Adam and SGD do. With one of your own (a class, or a function, that an installed
            package does not hold) the students are trained one by one.
        seeds: one for each.
        workers: how many threads, default 1; each has its share of the CPU's, and there are never
            more at a time than processors.
        validation: if given, the accuracy of each student after each epoch.
        run: as for `fit`; the parts add their number to it.

    Returns:
        The history of each student; side by side, `seconds` are those of all together.

    Raises:
        ValueError: not one objective, split and seed for each student, two that share one, or as
            for `fit`.
        CheckpointError, OSError, TrainingError: as for `fit`.
    """
    recipe = recipe_of(recipe, settings)
    _check_each(students, objectives, trains, seeds)
    check_int(workers, name="workers", least=1)
    seeds = [check_int(seed, name="seed") for seed in seeds]
    runs = list(zip(students, objectives, trains, seeds, strict=True))
    for student, objective, train, _ in runs:
        check_student(student, train, validation, objective.needs_labels)
    common: dict[str, Any] = dict(validation=validation, progress=progress)
    if not _can_lie_side_by_side(runs, recipe):
        alone = [
            partial(fit, student, own, train, recipe, seed=s, run=run and f"{run}-{n}", **common)
            for n, (student, own, train, s) in enumerate(runs)
        ]
        return in_threads(alone, workers)
    parts = [slice(part, None, workers) for part in range(min(workers, len(students)))]
    names = [f"{run}-{part.start}" if run and len(parts) > 1 else run for part in parts]
    otherwise = run if len(parts) > 1 else run and f"{run}-0"
    mine, other = (file_of_run(recipe, name, None) for name in (names[0], otherwise))
    if mine and other and other.exists() and not mine.exists():
        told = f"{other.name} holds a run of this name that began with another number of workers"
        raise ValueError(f"{told} than {workers}; give that number, or another name.")
    together = [
        partial(_fit_side_by_side, runs[part], recipe, run=name, **common)
        for part, name in zip(parts, names, strict=True)
    ]
    histories = [History() for _ in students]
    for part, own in zip(parts, in_threads(together, len(parts)), strict=True):
        histories[part] = own
    return histories


def _can_lie_side_by_side(runs: Sequence[Run], recipe: Recipe) -> bool:
    students, objectives, trains, _ = zip(*runs, strict=True)
    recipe = with_precision(recipe, students[0], trains[0], None)
    return (
        recipe.precision == "fp32"
        and recipe.channels_last
        and not (recipe.ema or recipe.compile)
        and not own_code(recipe.optimizer)  # it may look at all weights, to clip their gradients
        and len(set(map(len, trains))) == 1
        and all(map(_asks_for_logits_only, objectives))
        and refusal(students, [split.normalise(split.images[:2]) for split in trains]) is None
    )


def _asks_for_logits_only(objective: Objective) -> bool:
    if objective._forward_hooks or objective._forward_pre_hooks or "forward" in vars(objective):
        return False
    if isinstance(objective, Faded):
        return _asks_for_logits_only(objective.objective)
    return type(objective) in (Supervised, Distillation)


def _fit_side_by_side(
    runs: Sequence[Run], recipe: Recipe, *, run: str, **common: Any
) -> list[History]:
    students, objectives, trains, seeds = zip(*runs, strict=True)
    recipe = replace(recipe, precision="fp32")  # or "auto", which stands for it here
    stack, stacked = SideBySide(students), _Each(objectives, seeds, students)
    history = train_student(
        stack, stacked, cast(Split, _Splits(trains)), recipe, seed=seeds[0],
        path=file_of_run(recipe, run, None), on_epoch=None, stream=partial(_stream, seeds),
        validate=partial(_validated, students[0]), **common,
    )  # fmt: skip
    for number, student in enumerate(students):
        student.load_state_dict(stack.state_of(number))
    return [History(stacked.row_of(n, row) for row in history) for n in range(len(students))]


@dataclass(frozen=True)
class _Splits:
    """One split for each student, all of one size: all that the loop asks of a split."""

    each: tuple[Split, ...]

    def __len__(self) -> int:
        return len(self.each[0])

    def to(self, device: torch.device | str) -> "_Splits":
        return _Splits(tuple(split.to(device) for split in self.each))

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(" ".join(s.fingerprint for s in self.each).encode()).hexdigest()


class _Each(Objective):
    """One objective for each of several students side by side; the sum of all is minimised.

    No student's term depends on another's weights, so the gradients are those of each alone.
    """

    def __init__(
        self, objectives: Sequence[Objective], seeds: Sequence[int], students: Sequence[nn.Module]
    ) -> None:
        super().__init__()
        self.objectives = nn.ModuleList(objectives)
        self.seeds, self._all, self._students = seeds, objectives, students

    def row_of(self, number: int, row: Row) -> Row:
        """The figures of one student from a row of the common history."""
        end = f".{number}"
        own = {name.removesuffix(end): row[name] for name in row if name.endswith(end)}
        not_terms = {"validation_accuracy", *self._all[number].figures()}
        loss = sum(own[name] for name in own.keys() - not_terms)
        return {"epoch": row["epoch"], "seconds": row["seconds"], "loss": loss, **own}

    def check(self, student: nn.Module, train: Any) -> None:
        for objective, each, split in zip(self._all, self._students, train.each, strict=True):
            objective.check(each, split)

    def prepare(self, train: Any, views: Views, epochs: int) -> None:
        self._trains, self._views = train.each, views
        for objective, split in zip(self._all, train.each, strict=True):
            objective.prepare(split, views, epochs)

    def start_epoch(self, epoch: int, epochs: int) -> None:
        for objective in self._all:
            objective.start_epoch(epoch, epochs)

    def figures(self) -> dict[str, float]:
        return _numbered(objective.figures() for objective in self._all)

    def forward(self, stack: nn.Module, batch: Batch) -> Terms:
        logits = stack(batch.inputs).unbind(1)
        images = batch.inputs.chunk(len(logits), 1)
        parts = zip(images, *(tensor.unbind(1) for tensor in batch[1:4]), strict=True)
        each, terms = zip(self._all, logits, parts, self._trains, strict=True), []
        for objective, answer, part, split in each:
            own = Batch(*part)._replace(origin=Origin(part[0], split, self._views))
            terms.append(objective(lambda _, answer=answer: answer, own))  # it has answered already
        return _numbered(terms)

    def settings(self) -> dict[str, Any]:
        each = [objective.settings() for objective in self._all]
        return {"objective": "side by side", "objectives": each, "seeds": list(self.seeds)}


def _numbered(each: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {
        f"{name}.{number}": value
        for number, figures in enumerate(each)
        for name, value in figures.items()
    }


def _stream(
    seeds: tuple[int, ...], train: _Splits, batch_size: int, *, seed: int, **settings: Any
) -> Iterator[Batch]:
    """The batches of all students side by side: inputs [B, S·C, H, W], all else [B, S]."""
    streams = (
        batches(split, batch_size, seed=own, **settings)
        for split, own in zip(train.each, seeds, strict=True)
    )
    for parts in zip(*streams, strict=True):
        inputs, *others = zip(*(part[:4] for part in parts), strict=True)
        images = torch.cat(inputs, 1).contiguous(memory_format=torch.channels_last)
        labels, samples, numbers = (torch.stack(tensors, 1) for tensors in others)
        yield Batch(images, labels, samples, numbers)


def _validated(student: nn.Module, stack: SideBySide, split: Split) -> Row:
    """The accuracy of each; the students themselves stay as they are until the end."""
    network, each = copy.deepcopy(student), []
    for number in range(stack.count):
        network.load_state_dict(stack.state_of(number))
        each.append(validated(network, split))
    return _numbered(each)


def _check_each(*each: Sequence[Any]) -> None:
    kinds = {"students": nn.Module, "objectives": Objective, "trains": Split, "seeds": object}
    for (name, kind), values in zip(kinds.items(), each, strict=True):
        check_list(values, kind, name=name)
    counts = [len(values) for values in each]
    if not all(counts) or len(set(counts)) > 1:
        raise ValueError(f"give every student one objective, one split and one seed, not {counts}.")
    students, objectives, *_ = each
    own = [*students, *objectives]
    own += [p for each in own for p in each.parameters() if p.requires_grad]
    if len({id(one) for one in own}) < len(own):
        told = "each student needs to be a network of its own, with weights of its own, and an"
        told += " objective of its own, also with a learned temperature of its own"
        raise ValueError(f"{told}; build them anew for every seed.")
