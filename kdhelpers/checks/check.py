"""What every check does: it judges a function, and remembers what is solved."""

from typing import Any

from kdhelpers._values import require
from kdhelpers.checks.running import Answer, Misuse, Unfinished, explain, sandbox
from kdhelpers.checks.verdict import Verdict

_solved: dict["Check", bool] = {}  # in this kernel, in the order of the first calls


class Check:
    """Call it with your function, and it tells what it thinks of it; `task` says what is asked."""

    task: str

    def __post_init__(self) -> None:
        self.__doc__ = self.task

    def __repr__(self) -> str:
        return self.task.strip()

    def __call__(self, answer: Any) -> Verdict:
        """Judge the learner's function; whatever it does, this returns a verdict."""
        verdict = self._verdict(answer)
        _solved[self] = bool(verdict) or _solved.get(self, False)
        return verdict

    def _verdict(self, answer: Any) -> Verdict:
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
        raise NotImplementedError


def progress(lesson: int | str) -> None:
    """Print which exercises of a lesson were solved since the kernel started, and which are open.

    Args:
        lesson: its number, 1 or "01" for lesson 01.

    Raises:
        ValueError: it has no exercises.
    """
    from kdhelpers import checks

    lesson = int(lesson)
    names = {each: name for name, each in vars(checks).items() if isinstance(each, Check)}
    known = [each for each in {**_solved, **names} if each in names]
    of = [each for each in known if each.task.startswith(f"Lesson {lesson:02d}:")]
    require(of, f"lesson {lesson:02d} has no exercises; give another number.")
    left = [names[each] for each in of if not _solved.get(each)]
    told = f"; open: {', '.join(left)}" if left else ", all of them"
    print(f"{len(of) - len(left)} of {len(of)} exercises of lesson {lesson:02d} solved{told}")
