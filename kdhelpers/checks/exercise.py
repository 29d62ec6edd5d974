"""The framework of the checks: an exercise recognises a mistake by making it, too.

A right solution is a list of decisions ("divide by the batch", "scale with T²"). `made_of` turns
the decisions into a function of the learner's signature, and a `Mistake` is another decision plus
the sentence for it. The learner's function and the mistaken ones run on the same cases; when what
is observed agrees in all of them, that is the diagnosis. Mistakes that change different decisions
combine by themselves.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kdhelpers.checks.running import (
    Answer,
    Failure,
    Misuse,
    Unfinished,
    call,
    explain,
    sandbox,
    to_tensor,
)
from kdhelpers.checks.verdict import Verdict

SLACK = 3.0  # a mistaken answer carries its own rounding: it may be this much less exact
FLOOR = 1e-7  # float32 noise around zero
UNKNOWN = "The numbers differ, and they fit no mistake that this check knows."


def numbers(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Fixed normal numbers of the given shape, standard deviation 2."""
    generator = torch.Generator().manual_seed(seed)
    return 2.0 * torch.randn(*shape, generator=generator, dtype=dtype)


@dataclass(frozen=True)
class Case:
    """Fixed inputs. `inputs` makes them anew at each call, as name → value in the order of the
    function's arguments; `tolerance` is relative to the largest expected value."""

    inputs: Callable[[], dict[str, Any]]
    tolerance: float = 1e-4
    if_it_raises: str = ""

    @classmethod
    def each_of(
        cls, inputs: Callable[..., dict[str, Any]], *arguments: tuple[Any, ...], **settings: Any
    ) -> tuple["Case", ...]:
        """One for each tuple of arguments that `inputs` is called with."""
        return tuple(cls(partial(inputs, *each), **settings) for each in arguments)


@dataclass(frozen=True)
class Observation:
    """What a function did with one case.

    `values` is what mistakes explain; `effects` are yes-or-no facts, each with a sentence of its
    own (`Exercise.symptoms`); `clues` help to tell mistakes apart and are not judged; `remark`
    improves an answer that is right; `detail` goes beside the numbers of a wrong one.
    """

    values: dict[str, Tensor]
    effects: dict[str, bool] = field(default_factory=dict)
    clues: tuple[Any, ...] = ()
    remark: str = ""
    detail: str = ""


Changes = Mapping[str, Any]
# A sentence for the learner → the decisions that are taken otherwise, or several such ways. `depth`
# among them is the largest group of mistakes it is looked for in: 2 by itself, 4 for frequent ones.
Mistakes = Mapping[str, Changes | Sequence[Changes]]


@dataclass(frozen=True, eq=False)
class Mistake:
    """Decisions taken otherwise, and what to tell the learner about it."""

    sentence: str
    changes: Changes
    depth: int = 2

    @classmethod
    def each_of(cls, mistakes: Mistakes) -> tuple["Mistake", ...]:
        """One for each sentence and way."""
        ways = (
            (sentence, dict(way))
            for sentence, changes in mistakes.items()
            for way in ([changes] if isinstance(changes, Mapping) else changes)
        )
        return tuple(cls(sentence, way, way.pop("depth", 2)) for sentence, way in ways)


Observe = Callable[[Answer, dict[str, Any]], Observation]
Outcome = Observation | Failure


def returned(name: str, *, wanted: str) -> Observe:
    """What there is to see when an answer only returns a tensor: its values, under this name."""

    def observe(answer: Answer, inputs: dict[str, Any]) -> Observation:
        result = to_tensor(call(answer, inputs), wanted=wanted)
        return Observation(values={name: result.detach()})

    return observe


@dataclass(eq=False, repr=False)
class Exercise:
    """One exercise: call it with your function, and it tells what it thinks of it.

    `task` says what is asked, `made_of` makes an answer of decisions whose defaults are right.
    """

    task: str
    observe: Observe
    made_of: Callable[..., Answer]
    cases: tuple[Case, ...]
    praise: str
    mistakes: Mistakes = field(default_factory=dict)
    reference: Answer | None = None  # in place of what `made_of()` makes
    symptoms: Mapping[str, str] = field(default_factory=dict)
    tips: Mapping[str, str] = field(default_factory=dict)  # below the numbers, by name of value
    extreme: Case | None = None  # inputs on which a careless formula gives no finite number
    extreme_remark: str = ""

    def __post_init__(self) -> None:
        self.__doc__ = self.task
        self.right = self.reference or self.made_of()
        self.known = Mistake.each_of(self.mistakes)
        # What groups of mistakes do in the cases so far: an answer that none explains meets
        # hundreds of them, and learners try several answers.
        self._made: dict[tuple[int, ...], tuple[Answer, list[Outcome]]] = {}

    def __repr__(self) -> str:
        return self.task.strip()

    def __call__(self, answer: Any) -> Verdict:
        """Judge the learner's function; whatever it does, this returns a verdict."""
        if answer is None or answer is Ellipsis:
            return Verdict("not attempted", "write a function and give it to this check.")
        if not callable(answer):
            return Verdict(
                "wrong",
                "Give this check the function itself, as in `check(my_function)`, without calling "
                f"it. It got a value of type {type(answer).__name__}.",
            )
        try:
            with sandbox():
                return self._judge(answer)
        except Unfinished as todo:
            return Verdict("not attempted", str(todo))
        except Misuse as problem:
            return Verdict("wrong", str(problem))
        except (Exception, SystemExit) as error:
            return Verdict("wrong", explain(error))

    def _judge(self, answer: Answer) -> Verdict:
        expected = [self.observe(self.right, case.inputs()) for case in self.cases]
        seen: list[Outcome] = []
        for case in self.cases:
            try:
                seen.append(self.observe(answer, case.inputs()))
            except (Unfinished, Misuse):
                raise
            except (Exception, SystemExit) as error:
                return self._explain_failure(error, [*seen, Failure.of(error)])
        observed = [o for o in seen if isinstance(o, Observation)]
        triples = list(zip(observed, expected, self.cases, strict=True))
        if not all(_same_values(o, e, case.tolerance) for o, e, case in triples):
            return self._explain_values(observed, expected)
        if symptoms := self._symptoms(observed, expected):
            return Verdict("wrong", _listed(symptoms))
        remarks = [o.remark for o in observed if o.remark][:1] + self._overflow(answer)
        return Verdict(
            "right", "\n".join([self.praise, *(f"One step further: {r}" for r in remarks)])
        )

    def _explain_failure(self, error: BaseException, seen: list[Outcome]) -> Verdict:
        diagnosis = self.cases[len(seen) - 1].if_it_raises
        if not diagnosis and (found := self._recognise(seen)):
            diagnosis = _listed(_sentences(found[0]))
        message = explain(error)
        return Verdict("wrong", f"{diagnosis}\n{message}" if diagnosis else message)

    def _explain_values(self, observed: list[Observation], expected: list[Observation]) -> Verdict:
        found = self._recognise(list(observed))
        if found:
            group, same = found
            return Verdict("wrong", _listed([*_sentences(group), *self._symptoms(observed, same)]))
        symptoms = self._symptoms(observed, expected)
        lines = [_listed(symptoms)] if symptoms else []
        numbers = self._numbers(observed, expected, explained=bool(symptoms))
        return Verdict("wrong", "\n".join([*lines, numbers]))

    def _recognise(
        self, seen: list[Outcome]
    ) -> tuple[tuple[Mistake, ...], list[Observation]] | None:
        """The fewest mistakes that together do what was seen in every case, and their doing.

        An exception hides what comes after it, so for that single mistakes are enough.
        """
        most = 1 if isinstance(seen[-1], Failure) else 4
        for group, changes in self.groups(most):
            key = tuple(map(id, group))
            if key not in self._made:
                self._made[key] = self.made_of(**changes), []
            variant, known = self._made[key]
            same: list[Observation] = []
            for number, (outcome, case) in enumerate(zip(seen, self.cases, strict=False)):
                if number == len(known):
                    known.append(self._attempt(variant, case))
                made = known[number]
                if not _alike(outcome, made, case.tolerance * SLACK):
                    break
                if isinstance(made, Observation):
                    same.append(made)
            else:
                return group, same
        return None

    def groups(self, most: int = 4) -> Iterator[tuple[tuple[Mistake, ...], dict[str, Any]]]:
        """Single mistakes, then pairs, threes and fours of those with the depth for it."""
        for size in range(1, most + 1):
            for group in combinations([m for m in self.known if m.depth >= size], size):
                changes = {key: value for m in group for key, value in m.changes.items()}
                if len(changes) == sum(len(m.changes) for m in group):
                    yield group, changes

    def _attempt(self, variant: Answer, case: Case) -> Outcome:
        try:
            return self.observe(variant, case.inputs())
        except Exception as error:
            return Failure.of(error)

    def _symptoms(self, observed: list[Observation], explained: list[Observation]) -> list[str]:
        """Sentences for effects that nothing has explained yet."""
        pairs = list(zip(observed, explained, strict=True))
        return [
            sentence
            for effect, sentence in self.symptoms.items()
            if any(o.effects[effect] != e.effects[effect] for o, e in pairs)
        ]

    def _overflow(self, answer: Answer) -> list[str]:
        if self.extreme is None:
            return []
        outcome = self._attempt(answer, self.extreme)
        fine = isinstance(outcome, Observation) and all(
            bool(value.isfinite().all()) for value in outcome.values.values()
        )
        return [] if fine else [self.extreme_remark]

    def _numbers(
        self, observed: list[Observation], expected: list[Observation], *, explained: bool
    ) -> str:
        """Inputs, expected and got values of the first (smallest) case that differs.

        A value is shown only when those before it are right in all cases. `explained` says that a
        sentence on the cause stands above.
        """
        case, seen, right, name = next(
            (case, o, e, name)
            for name in expected[0].values
            for case, o, e in zip(self.cases, observed, expected, strict=True)
            if name in o.values and not close(o.values[name], e.values[name], case.tolerance)
        )
        got, wanted = seen.values[name], right.values[name]
        if got.shape != wanted.shape:
            shape = f"have the shape {list(wanted.shape)}" if wanted.ndim else "be one number"
            return f"The {name} should {shape}; yours has the shape {list(got.shape)}."
        shown = [(key, text) for key, value in case.inputs().items() if (text := _short(value))]
        lines = [
            "For" if explained else f"{UNKNOWN} For",
            *(f"  {key} = {text}" for key, text in shown),
            f"the {name} should be",
            f"  {_short(wanted)}",
            f"and yours is{seen.detail}",
            f"  {_short(got)}",
        ]
        return "\n".join([*lines, self.tips[name]] if name in self.tips else lines)


def close(got: Tensor, expected: Tensor, tolerance: float) -> bool:
    """Whether two tensors agree, relative to the largest finite expected value; NaN equals NaN."""
    if got.shape != expected.shape:
        return False
    got, expected = got.detach().to(torch.float64), expected.detach().to(torch.float64)
    finite = expected[expected.isfinite()].abs()
    scale = float(finite.max()) if finite.numel() else 0.0
    return torch.allclose(got, expected, rtol=0.0, atol=tolerance * scale + FLOOR, equal_nan=True)


def _same_values(seen: Observation, other: Observation, tolerance: float) -> bool:
    """Whether all values that were seen agree with the other's."""
    return all(
        name in other.values and close(value, other.values[name], tolerance)
        for name, value in seen.values.items()
    )


def _alike(seen: Outcome, made: Outcome, tolerance: float) -> bool:
    if isinstance(seen, Failure) or isinstance(made, Failure):
        return seen == made
    return seen.clues == made.clues and _same_values(seen, made, tolerance)


def _sentences(group: tuple[Mistake, ...]) -> list[str]:
    return list(dict.fromkeys(m.sentence for m in group))


def _listed(sentences: list[str]) -> str:
    if len(sentences) == 1:
        return sentences[0]
    numbered = (f"{number}. {text}" for number, text in enumerate(sentences, start=1))
    return "\n".join([f"{len(sentences)} things to repair:", *numbered])


def _short(value: Any) -> str:
    """Numbers, lists and small tensors in a line; nothing for a network or an optimiser."""
    if isinstance(value, list | np.ndarray):
        value = torch.as_tensor(value)
    if isinstance(value, Tensor):
        if value.numel() > 24:
            return f"{_rounded(value.flatten()[:8].tolist())[:-1]}, …]"
        return _rounded(value.tolist())
    return f"{value:.6g}" if isinstance(value, int | float) else ""


def _rounded(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_rounded(v) for v in value)}]"
    return f"{value:.5g}"
