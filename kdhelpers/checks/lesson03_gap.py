"""Lesson 03, the share of the gap: accuracies of teacher and students to one number."""

from collections.abc import Callable, Sequence
from functools import partial
from statistics import fmean, median
from typing import Any

from kdhelpers.checks.exercise import Case, Exercise, Observation, mistake
from kdhelpers.checks.running import Answer, Misuse, call, to_tensor

Summary = Callable[[Sequence[float]], Any]  # the accuracies of all seeds -> one number


def gap_made_of(
    *,
    of_alone: Summary = fmean,
    of_distilled: Summary = fmean,
    share: Callable[[Any, Any, Any], Any] = lambda t, a, d: (d - a) / (t - a),
    each_seed: bool = False,
    sign: float = 1.0,
    unit: float = 1.0,
    cut: Callable[[float], float] = lambda x: x,
) -> Answer:
    """The share of the gap from these decisions; the defaults are right."""

    def gap_closed(teacher: float, alone: Sequence[float], distilled: Sequence[float]) -> float:
        if each_seed:
            pairs = zip(alone, distilled, strict=True)
            value = fmean(share(teacher, a, d) for a, d in pairs)
        else:
            value = share(teacher, of_alone(alone), of_distilled(distilled))
        return cut(sign * unit * value)

    return gap_closed


def _pick(place: int, accuracies: Sequence[float]) -> float:
    return accuracies[place]


def _method_mean(accuracies: Any) -> Any:
    return accuracies.mean()


def _observe_gap(answer: Answer, inputs: dict[str, Any]) -> Observation:
    result = to_tensor(call(answer, inputs), wanted="one number, the share of the gap")
    if result.numel() != 1:
        raise Misuse(
            f"Your function returned {result.numel()} numbers; it should return one share for all "
            "seeds together."
        )
    return Observation(values={"share of the gap": result.reshape(())})


def _gap_case(teacher: float, alone: Sequence[float], distilled: Sequence[float]) -> Case:
    return Case(
        lambda: {"teacher": teacher, "alone": list(alone), "distilled": list(distilled)},
    )


GAP_CLOSED = Exercise(
    observe=_observe_gap,
    reference=gap_made_of(),
    build=gap_made_of,
    cases=(
        _gap_case(0.9, (0.7, 0.8), (0.82, 0.84)),
        _gap_case(0.95, (0.91, 0.93, 0.92, 0.9, 0.935), (0.9, 0.921, 0.915, 0.91, 0.93)),
        _gap_case(0.88, (0.8, 0.83, 0.811), (0.89, 0.885, 0.91)),
        _gap_case(0.75, (0.6, 0.55, 0.7, 0.62), (0.61, 0.62, 0.68, 0.7)),
    ),
    mistakes=(
        mistake(
            "The sign is turned round. A distilled student that is better than the one alone "
            "closes a positive share: `distilled - alone` over `teacher - alone`.",
            depth=3,
            sign=-1.0,
        ),
        mistake(
            "This is a share in percent. Leave out the factor 100.",
            depth=3,
            unit=100.0,
        ),
        mistake(
            "This is what the student gains; the share is that gain divided by the gap, "
            "`teacher - alone`.",
            share=lambda t, a, d: d - a,
        ),
        mistake(
            "You divide by the teacher's accuracy. The whole that is shared is the gap between "
            "teacher and student: divide by `teacher - alone`.",
            share=lambda t, a, d: (d - a) / t,
        ),
        mistake(
            "You divide by the accuracy of the student alone, which gives its relative gain. "
            "Divide by the gap, `teacher - alone`.",
            share=lambda t, a, d: (d - a) / a,
        ),
        mistake(
            "You divide by the errors of the student alone. A teacher makes errors, too: divide "
            "by the gap to the teacher, `teacher - alone`.",
            share=lambda t, a, d: (d - a) / (1 - a),
        ),
        mistake(
            "You divide by what is left to the teacher after distillation. The gap is the one "
            "before: `teacher - alone`.",
            share=lambda t, a, d: (d - a) / (t - d),
        ),
        mistake(
            "This is the share of the gap that is left. The share that is closed is 1 minus it.",
            share=lambda t, a, d: (t - d) / (t - a),
        ),
        mistake(
            "This is the distance to the teacher that is left, in accuracy. Ask how much of "
            "`teacher - alone` the student has gained.",
            share=lambda t, a, d: t - d,
        ),
        mistake(
            "The fraction is upside down: the gain, `distilled - alone`, belongs above the gap.",
            share=lambda t, a, d: (t - a) / (d - a),
        ),
        mistake(
            "This is the ratio of the accuracies of distilled student and teacher. It is near 1 "
            "for any decent student: subtract the student alone from both first.",
            share=lambda t, a, d: d / t,
        ),
        mistake(
            "This is the ratio of the accuracies of the two students. Compare their difference "
            "with the gap, `teacher - alone`.",
            share=lambda t, a, d: d / a,
        ),
        mistake(
            "Brackets are missing: a division is done before a subtraction. Write "
            "`(distilled - alone) / (teacher - alone)` with the means.",
            share=lambda t, a, d: d - a / t - a,
        ),
        mistake(
            "The difference above the fraction line needs brackets: a division is done before a "
            "subtraction.",
            share=lambda t, a, d: d - a / (t - a),
        ),
        mistake(
            "The difference below the fraction line needs brackets: a division is done before a "
            "subtraction.",
            share=lambda t, a, d: (d - a) / t - a,
        ),
        mistake(
            "You average the shares of the seeds. A seed whose student is close to the teacher "
            "divides by almost 0 and outweighs all others: average the accuracies first, then "
            "divide once.",
            each_seed=True,
        ),
        mistake(
            "You take the best seed of both students. That is luck, and more of it with more "
            "seeds: take the means.",
            of_alone=max,
            of_distilled=max,
        ),
        mistake(
            "You compare the best distilled seed with the mean of the students alone, which "
            "favours distillation. Take the mean on both sides.",
            of_distilled=max,
        ),
        mistake(
            "You compare the mean of the distilled students with the best one alone. Take the "
            "mean on both sides.",
            of_alone=max,
        ),
        mistake(
            "You take the worst seed of both students. Take the means.",
            of_alone=min,
            of_distilled=min,
        ),
        *(
            mistake(
                f"You use the {name} seed only. Average over all seeds, for both students.",
                of_alone=partial(_pick, place),
                of_distilled=partial(_pick, place),
            )
            for name, place in (("first", 0), ("last", -1))
        ),
        mistake(
            "You take medians. The exercise asks for the mean over the seeds.",
            of_alone=median,
            of_distilled=median,
        ),
        mistake(
            "You add up the accuracies without dividing by the number of seeds.",
            of_alone=sum,
            of_distilled=sum,
        ),
        mistake(
            "You keep the share between 0 and 1. It is negative where distillation hurts and "
            "above 1 where the student passes its teacher: do not hide either.",
            cut=lambda x: min(max(x, 0.0), 1.0),
        ),
        mistake(
            "You cut the share off at 0, which hides that distillation can hurt.",
            cut=lambda x: max(x, 0.0),
        ),
        mistake(
            "You cut the share off at 1, but a student can pass its teacher.",
            cut=lambda x: min(x, 1.0),
        ),
        mistake(
            "You take the absolute value, which hides that distillation can hurt.",
            cut=abs,
        ),
        mistake(
            "A list has no method `mean`. Use `np.mean(alone)`, or `sum(alone) / len(alone)`.",
            of_alone=_method_mean,
            of_distilled=_method_mean,
        ),
        *(
            mistake(
                "Lists cannot be subtracted. Average each list first, then subtract the means.",
                of_alone=list,
                of_distilled=list,
                share=share,
            )
            for share in (lambda t, a, d: d - a, lambda t, a, d: t - a, lambda t, a, d: t - d)
        ),
    ),
    praise=(
        "0 where distillation changes nothing, 1 where the student reaches its teacher; below 0 it "
        "hurts. The closer the two are from the start, the less the number means."
    ),
)
