"""The framework of the checks: an exercise recognises a mistake by making it, too.

A right solution is a function with the learner's arguments, whose decisions ("divide by the batch",
"scale with T²") are keyword arguments, and a `Mistake` is another decision plus the sentence for
it. The learner's function and the mistaken ones run on the same cases; when what is observed agrees
in all of them, that is the diagnosis. Mistakes that change different decisions combine by
themselves.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from kdhelpers.checks import relations
from kdhelpers.checks.check import Check
from kdhelpers.checks.relations import Pair, close, short
from kdhelpers.checks.running import (
    Answer,
    Failure,
    Misuse,
    Unfinished,
    call,
    explain,
    to_number,
    to_tensor,
    two_of,
)
from kdhelpers.checks.verdict import Verdict

SLACK = 3.0  # a mistaken answer carries its own rounding: it may be this much less exact
NEAR = 10.0  # below so many tolerances two mistakes that fit are two that cancel each other
# How many known mistakes together, and whether something happens to their result; in this order.
SEARCH = (1, False), (0, True), (2, False), (1, True), (3, False), (4, False)
UNKNOWN = "Your result differs, and it fits no mistake that this check knows."
NEARLY = (
    "Your result is nearly right: something small is added, as inside a logarithm, or it is "
    "rounded, searched for in steps too coarse, or computed in half precision."
)


def numbers(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Fixed normal numbers of the given shape, standard deviation 2."""
    generator = torch.Generator().manual_seed(seed)
    return 2.0 * torch.randn(*shape, generator=generator, dtype=dtype)


Way = Answer  # how a solution does one thing: a decision of it


@dataclass(frozen=True)
class Case:
    """Fixed inputs. `inputs` makes them anew at each call, as name → value in the order of the
    function's arguments; `tolerance` is relative to the largest expected value. In an `edge` case a
    mistake that gives no finite number explains whatever was seen, if it explains more."""

    inputs: Callable[[], dict[str, Any]]
    tolerance: float = 1e-4
    if_it_raises: str = ""
    edge: bool = False

    @classmethod
    def each_of(cls, inputs: Way, *arguments: tuple[Any, ...]) -> tuple["Case", ...]:
        """One for each tuple of arguments that `inputs` is called with."""
        return tuple(cls(partial(inputs, *each)) for each in arguments)

    @classmethod
    def table(cls, names: str, *rows: tuple[Any, ...]) -> tuple["Case", ...]:
        """One for each row of plain values, whose names are separated by spaces."""
        return cls.each_of(lambda *row: dict(zip(names.split(), deepcopy(row), strict=True)), *rows)


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
# `then`, `whole` and `exchanged` belong to every exercise (`Exercise.variant`), so no decision of a
# solution has one of these names.
# The tables keep their own layout (`fmt: off`): a sentence, and below it what it is about.
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


def returned(
    name: str, *, wanted: str, without: Iterable[str] = (), remark: str = "", sums: bool = False
) -> Observe:
    """What there is to see when an answer only returns a tensor: its values, under this name.

    `remark` for one that calls a torch function among `without`; `sums` of rows should be 1.
    """

    def observe(answer: Answer, inputs: dict[str, Any]) -> Observation:
        used: set[str] = set()
        result = to_tensor(call(answer, inputs, used), wanted=wanted).detach()
        said = remark if used.intersection(without) else ""
        rows = result.sum(dim=-1) if sums and result.ndim else torch.ones(1)
        off = {"sums": not bool(((rows - 1).abs() < 1e-3).all())} if sums else {}
        return Observation({name: result}, off, remark=said)

    return observe


def number(name: str, *, wanted: str, instead: str) -> Observe:
    """What there is to see when an answer only returns one number; `instead` of several numbers."""

    def observe(answer: Answer, inputs: dict[str, Any]) -> Observation:
        return Observation({name: to_number(call(answer, inputs), wanted=wanted, instead=instead)})

    return observe


def two_numbers(first: str, second: str) -> Observe:
    """What there is to see when an answer returns two numbers."""

    def observe(answer: Answer, inputs: dict[str, Any]) -> Observation:
        wanted = f"return two numbers, {first} and {second}"
        both = zip((first, second), two_of(call(answer, inputs), remedy=wanted), strict=True)
        instead = "one number for all images"
        return Observation(
            {n: to_number(v, wanted=f"{n} as a number", instead=instead) for n, v in both}
        )

    return observe


def chosen(of: str, *, noun: str, told: Callable[[str, dict[str, Any]], str]) -> Observe:
    """What there is to see when an answer names one of the things in its argument `of`, or None.

    `told` describes one of them, given its name and the inputs.
    """

    def observe(answer: Answer, inputs: dict[str, Any]) -> Observation:
        name, names = call(answer, inputs), list(inputs[of])
        if isinstance(name, str) and name.strip() in ("", "None"):
            raise Misuse(
                f"You return {name!r}, a text. If nothing fits return None, without quotes."
            )
        if isinstance(name, dict | tuple | list):
            raise Misuse("Your function returned more than a name; return the name alone.")
        if name is not None and name not in names:
            raise Misuse(f"Your function should return the name of a {noun}, or None if none fits.")
        place = torch.tensor(-1 if name is None else names.index(name))
        return Observation({noun: place}, detail="None" if name is None else told(name, inputs))

    return observe


@dataclass(eq=False, repr=False)
class Exercise(Check):
    """One exercise: call it with your function, and it tells what it thinks of it.

    `task` says what is asked; `solution` has decisions as keyword arguments, right by default.
    """

    task: str
    observe: Observe
    solution: Answer
    cases: tuple[Case, ...]
    praise: str
    mistakes: Mistakes = field(default_factory=dict)
    symptoms: Mapping[str, str] = field(default_factory=dict)
    tips: Mapping[str, str] = field(default_factory=dict)  # below the numbers, by name of value
    # What it says of an unknown mistake if the answer is right for these values of arguments.
    parts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    extreme: Case | None = None  # inputs on which a careless formula gives no finite number
    extreme_remark: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        order = list(self.cases[0].inputs())
        exchanged = {
            f"`{order[one]}` and `{order[other]}` are exchanged: you do with each what belongs to "
            f"the other. The arguments come in the order ({', '.join(order)}).": dict(
                depth=1, exchanged=(one, other)
            )
            for one, other in relations.exchangeable(self.cases[0].inputs())
        }
        self.known = Mistake.each_of({**self.mistakes, **exchanged})
        # What groups of mistakes do in the cases so far: an answer that none explains meets
        # hundreds of them, and learners try several answers.
        self._made: dict[tuple[Mistake, ...], tuple[Answer, list[Outcome]]] = {}

    def _judge(self, answer: Answer) -> Verdict:
        expected: list[Any] = list(self._outcomes((), {}))
        observed: list[Observation] = []
        for case in self.cases:
            try:
                observed.append(self.observe(answer, case.inputs()))
            except (Unfinished, Misuse):
                raise
            except (Exception, SystemExit) as error:
                return self._explain_failure(answer, error, observed, expected)
        if self._differ(observed, expected):
            return self._explain_values(answer, observed, expected)
        if symptoms := self._symptoms(observed, expected):
            return Verdict("wrong", _listed(symptoms))
        remarks = [o.remark for o in observed if o.remark][:1] + self._overflow(answer)
        return Verdict(
            "right", "\n".join([self.praise, *(f"One step further: {r}" for r in remarks)])
        )

    def _explain_failure(
        self,
        answer: Answer,
        error: BaseException,
        before: list[Observation],
        expected: list[Observation],
    ) -> Verdict:
        message, diagnosis = explain(error), self.cases[len(before)].if_it_raises
        if found := self._recognise([*before, Failure.of(error)]):
            diagnosis = _listed(found[0])
        elif not diagnosis and self._differ(before, expected):
            return self._explain_values(answer, before, expected)
        return Verdict("wrong", f"{diagnosis}\n{message}" if diagnosis else message)

    def _differ(
        self, observed: list[Observation], expected: list[Observation], slack: float = 1.0
    ) -> bool:
        triples = zip(observed, expected, self.cases, strict=False)
        return not all(_same_values(o, e, case.tolerance * slack) for o, e, case in triples)

    def _explain_values(
        self, answer: Answer, observed: list[Observation], expected: list[Observation]
    ) -> Verdict:
        number, name = self._first_wrong(observed, expected)
        near = not self._differ(observed, expected, NEAR)
        strict = near or self.cases[number].edge
        # A choice is too little to tell two mistakes by.
        of = name if expected[number].values[name].is_floating_point() else ""
        if found := self._recognise(observed, of, strict=strict, near=near):
            sentences, same = found
            symptoms = self._symptoms(observed, same) if same else []
            return Verdict("wrong", _listed([*sentences, *symptoms]))
        known = [NEARLY] * near + self._symptoms(observed, expected)
        if not known:
            pairs = self._pairs(observed, expected, name)
            of_all = relations.handed_back(pairs) or relations.factor(pairs)
            known = [of_all] if of_all else self._narrowed(answer)
        numbers = self._numbers(
            self.cases[number], observed[number], expected[number], name, explained=bool(known)
        )
        return Verdict("wrong", "\n".join([*([_listed(known)] if known else []), numbers]))

    def _recognise(
        self, seen: Sequence[Outcome], name: str = "", *, strict: bool = False, near: bool = False
    ) -> tuple[list[str], list[Observation]] | None:
        """The fewest mistakes that together do what was seen in every case, and their doing.

        An exception hides what comes after it, so for that single mistakes are enough. Single
        mistakes that do the same are told together. `name` is that of the first wrong value.
        Where it is `strict` no case is an edge; what is `near` to right has to agree more closely,
        as everything small is alike there.
        """
        closer, depth = (SLACK, 2) if near else (1.0, len(SEARCH) if name else 1)
        cases = [
            replace(case, tolerance=case.tolerance / closer, edge=case.edge and not strict)
            for case in self.cases
        ]
        for size, related in SEARCH[:depth]:
            found: dict[str, list[Observation]] = {}
            for group, changes in self.groups(size):
                made = self._outcomes(group, changes)
                if related:
                    if more := relations.relation(name, self._pairs(seen, made, name)):
                        return [*_sentences(group), more], []  # its effects are not known
                elif all(map(_alike, seen, made, cases)):
                    same = [o for o in self._outcomes(group, changes) if isinstance(o, Observation)]
                    if size > 1:
                        return _sentences(group), same
                    found.setdefault(group[0].sentence, same)
            if found:
                return [_either(list(found))], next(iter(found.values()))
        return None

    def _pairs(self, seen: Sequence[Outcome], made: Iterable[Outcome], name: str) -> list[Pair]:
        """The values of this name, and what was made in their place; none if that fails."""
        both = [
            (one.values, other.values, case)
            for one, other, case in zip(seen, made, self.cases, strict=False)
            if isinstance(one, Observation) and isinstance(other, Observation)
        ]
        return [
            Pair(one[name], other[name], case.tolerance * SLACK, case.inputs)
            for one, other, case in both
            if len(both) == len(seen) and name in one and name in other
        ]

    def _first_wrong(
        self, observed: Sequence[Observation], expected: Sequence[Observation]
    ) -> tuple[int, str]:
        """The first value that is not right, and the first (smallest) case in which it is not."""
        return next(
            (number, name)
            for name in dict.fromkeys(name for e in expected for name in e.values)
            for number, (case, o, e) in enumerate(zip(self.cases, observed, expected, strict=False))
            if name in o.values
            if not close(o.values[name], e.values[name], case.tolerance)
        )

    def groups(self, size: int) -> Iterator[tuple[tuple[Mistake, ...], dict[str, Any]]]:
        """Groups of so many mistakes with the depth for it."""
        for group in combinations([m for m in self.known if m.depth >= size], size):
            changes = {key: value for m in group for key, value in m.changes.items()}
            if len(changes) == sum(len(m.changes) for m in group):
                yield group, changes

    def _outcomes(self, group: tuple[Mistake, ...], changes: Changes) -> Iterator[Outcome]:
        """What these mistakes do in one case after the other."""
        if group not in self._made:
            self._made[group] = self.variant(**changes), []
        variant, known = self._made[group]
        for number, case in enumerate(self.cases):
            if number == len(known):
                known.append(self._attempt(variant, case.inputs()))
            yield known[number]

    def variant(
        self,
        exchanged: tuple[int, ...] = (),
        whole: Way | None = None,
        then: Way = lambda result: result,
        **changes: Any,
    ) -> Answer:
        """The solution with other decisions: its own, and those that any exercise has.

        Two arguments are `exchanged`, a `whole` other formula stands in its place, and something
        happens `then` to the result.
        """
        made = whole or partial(self.solution, **changes)
        places = dict(zip(exchanged, reversed(exchanged), strict=True))

        def variant(*given: Any) -> Any:
            return then(made(*(given[places.get(place, place)] for place in range(len(given)))))

        return variant

    def _narrowed(self, answer: Answer) -> list[str]:
        """An argument without effect, or else a part of the answer that is right."""
        exact = Case(dict, 1e-9)

        def moves(of: Answer, case: Case, name: str) -> bool:
            inputs = case.inputs()
            given = inputs, {**case.inputs(), name: relations.another(inputs[name])}
            one, two = (self._attempt(of, each) for each in given)
            finite = isinstance(one, Observation) and _finite(one)
            return not finite or not _alike(one, two, exact)

        def right(values: Mapping[str, Any], case: Case) -> bool:
            want, got = (
                self._attempt(a, {**case.inputs(), **values}) for a in (self.solution, answer)
            )
            return isinstance(want, Observation) and _alike(got, want, case)

        names = [k for k, v in self.cases[0].inputs().items() if relations.another(v) is not None]
        felt = {name: [c for c in self.cases if moves(self.solution, c, name)] for name in names}
        idle = [
            f"`{name}`"
            for name, cases in felt.items()
            if cases and not any(moves(answer, case, name) for case in cases)
        ]
        if idle:
            return [
                f"Your result does not change with {' or '.join(idle)}: what your function gets is "
                "not used, a fixed value stands in its place, it cancels out, or a condition on it "
                "comes out the same for all that was tried."
            ]
        parts = self.parts.items()
        return [text for text, v in parts if all(right(v, c) for c in self.cases)][:1]

    def _attempt(self, variant: Answer, inputs: dict[str, Any]) -> Outcome:
        try:
            return self.observe(variant, inputs)
        except Exception as error:
            return Failure.of(error)

    def _symptoms(self, observed: list[Observation], explained: list[Observation]) -> list[str]:
        """Sentences for effects that nothing has explained yet."""
        pairs = list(zip(observed, explained, strict=False))
        return [
            sentence
            for effect, sentence in self.symptoms.items()
            if any(o.effects[effect] != e.effects[effect] for o, e in pairs)
        ]

    def _overflow(self, answer: Answer) -> list[str]:
        if self.extreme is None:
            return []
        outcome = self._attempt(answer, self.extreme.inputs())
        fine = isinstance(outcome, Observation) and _finite(outcome)
        return [] if fine else [self.extreme_remark]

    def _numbers(
        self, case: Case, seen: Observation, right: Observation, name: str, *, explained: bool
    ) -> str:
        """Inputs, expected and got values; `explained`: a sentence on the cause stands above."""
        got, wanted = seen.values[name], right.values[name]
        if got.shape != wanted.shape:
            shape = f"have the shape {list(wanted.shape)}" if wanted.ndim else "be one number"
            own = f"has the shape {list(got.shape)}" if got.ndim else "is one number"
            more = f" Average over the batch, or return the {name} itself."
            if wanted.ndim:
                lost = got.ndim < wanted.ndim
                more = " Leave out the sum, mean or norm that a dimension went by." if lost else ""
            return f"The {name} should {shape}; yours {own}.{more}"
        named = not wanted.is_floating_point()  # a choice
        shown = [(key, text) for key, value in case.inputs().items() if (text := short(value))]
        lines = [
            "For" if explained else f"{UNKNOWN} For",
            *(f"  {key} = {text}" for key, text in shown),
            f"the {name} should be",
            f"  {right.detail if named else short(wanted)}",
            f"and yours is{'' if named else seen.detail}",
            f"  {seen.detail if named else short(got)}",
        ]
        return "\n".join(lines if explained or name not in self.tips else [*lines, self.tips[name]])


def _same_values(seen: Observation, other: Observation, tolerance: float) -> bool:
    """Whether all values that were seen agree with the other's."""
    return all(
        name in other.values and close(value, other.values[name], tolerance)
        for name, value in seen.values.items()
    )


def _finite(made: Observation) -> bool:
    return all(bool(value.isfinite().all()) for value in made.values.values())


def _alike(seen: Outcome, made: Outcome, case: Case) -> bool:
    if case.edge and isinstance(made, Observation) and not _finite(made):
        return True
    if isinstance(seen, Failure) or isinstance(made, Failure):
        return seen == made
    return seen.clues == made.clues and _same_values(seen, made, case.tolerance * SLACK)


def _sentences(group: tuple[Mistake, ...]) -> list[str]:
    return list(dict.fromkeys(m.sentence for m in group))


def _either(sentences: list[str]) -> str:
    if len(sentences) == 1:
        return sentences[0]
    listed = map("– {}".format, sentences)
    return "\n".join(["Either of these explains what your function does:", *listed])


def _listed(sentences: list[str]) -> str:
    if len(sentences) == 1:
        return sentences[0]
    numbered = (f"{number}. {text}" for number, text in enumerate(sentences, start=1))
    return "\n".join([f"{len(sentences)} things to repair:", *numbered])
