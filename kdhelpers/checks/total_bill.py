"""Lesson 06: `answer(forward, epochs, pictures, students)` → MACs, one number.

The multiply-accumulates of a whole distillation: the teacher's training, its answer to each
picture once, and the training of every student; a training step costs three forward passes.
`forward` is (F_t, F_s) and `epochs` (the teacher's, each student's).
"""

from collections.abc import Callable

from kdhelpers.checks.exercise import Case, Exercise, Mistakes, number


def solution(
    forward: tuple[float, float],
    epochs: tuple[int, int],
    pictures: int,
    students: int,
    *,
    of_teacher: float = 3,
    of_student: float = 3,
    answers: Callable[..., float] = lambda pictures, epochs, students: pictures,
    trained: Callable[[int], int] = lambda students: students,
    learns: Callable[..., float] = lambda pictures, epochs: pictures * epochs,
) -> float:
    (F_t, F_s), (teacher_epochs, student_epochs) = forward, epochs
    teacher = of_teacher * F_t * learns(pictures, teacher_epochs)
    asked = F_t * answers(pictures, student_epochs, students)
    one = of_student * F_s * learns(pictures, student_epochs)
    return teacher + asked + trained(students) * one


# fmt: off
MISTAKES: Mistakes = {
    "The teacher is trained as well: each of its steps costs three forward passes, not one.":
        dict(of_teacher=1),
    "Each training step of a student costs three forward passes, one forward and two back.":
        dict(of_student=1),
    "A training step costs three forward passes: the backward pass costs two, and the forward "
    "pass one more.": dict(of_teacher=2, of_student=2),
    "You leave out the teacher's training. It is the largest part of most bills.":
        dict(of_teacher=0),
    "You leave out the teacher's answers: one forward pass for each picture.":
        dict(answers=lambda pictures, epochs, students: 0),
    "You let the teacher answer in every epoch. Its answers are kept: it is asked once about each "
    "picture.": dict(answers=lambda pictures, epochs, students: pictures * epochs),
    "You let the teacher answer once for every student. They share its answers.":
        dict(answers=lambda pictures, epochs, students: pictures * students),
    "You let the teacher answer for every student in every epoch. Its answers are kept: one for "
    "each picture.": dict(answers=lambda pictures, epochs, students: pictures * epochs * students),
    "You count the teacher's answers as training: an answer is one forward pass, not three.":
        dict(answers=lambda pictures, epochs, students: 3 * pictures),
    "You count one student. The number of students multiplies the cost of a student.":
        dict(trained=lambda students: 1),
    "You leave out the number of epochs.": dict(learns=lambda pictures, epochs: pictures),
    "You leave out the number of pictures in the trainings.":
        dict(learns=lambda pictures, epochs: epochs),
    "You leave out the students' training.": dict(of_student=0),
}
# fmt: on

total_bill = Exercise(
    task=__doc__,
    observe=number(
        "whole bill",
        wanted="one number, the sum of all costs",
        instead="one sum for everything",
    ),
    solution=solution,
    cases=Case.table(
        "forward epochs pictures students",
        ([313e6, 6.2e6], [40, 15], 45000, 1),
        ([313e6, 6.2e6], [40, 40], 5000, 20),
        ([5e6, 1.5e6], [16, 6], 800, 3),
        ([7.0, 2.0], [3, 5], 10, 4),
    ),
    mistakes=MISTAKES,
    praise=(
        "Most of it is the teacher's training, as long as the students are few: that is why a "
        "teacher that is there already, or answers that ship with the data, change the question."
    ),
)
