"""Lesson 06: `answer(forward, epochs, pictures, students)` → MACs, one number.

The multiply-accumulates of a whole distillation: the teacher's training, its answer to each
picture once, and the training of every student; a training step costs three forward passes.
`forward` is (F_t, F_s) and `epochs` (the teacher's, each student's).
"""

from typing import Any

from kdhelpers.checks.exercise import Case, Exercise, Mistakes, Way, number


def solution(
    forward: tuple[float, float],
    epochs: tuple[int, int],
    pictures: int,
    students: int,
    *,
    of_teacher: Way = lambda students: 3,  # forward passes a step, for all networks of the kind
    of_students: Way = lambda students: 3 * students,
    answers: Way = lambda pictures, epochs, students: pictures,
    of_pictures: Way = lambda pictures: (pictures, pictures, pictures),
    of_forward: Way = lambda teacher, student: (teacher, student),
    of_epochs: Way = lambda teacher, student: (teacher, student),
) -> Any:
    (F_t, F_s), (teacher_epochs, student_epochs) = of_forward(*forward), of_epochs(*epochs)
    learnt, answered, seen = of_pictures(pictures)
    teacher = of_teacher(students) * F_t * learnt * teacher_epochs
    asked = F_t * answers(answered, student_epochs, students)
    return teacher + asked + of_students(students) * F_s * seen * student_epochs


# fmt: off
MISTAKES: Mistakes = {
    "The teacher is trained as well: each of its steps costs three forward passes, not one.":
        dict(of_teacher=lambda students: 1),
    "Each training step of a student costs three forward passes, one forward and two back.":
        dict(of_students=lambda students: students),
    "A training step costs three forward passes: the backward pass costs two, and the forward "
    "pass one more.":
        dict(of_teacher=lambda students: 2, of_students=lambda students: 2 * students),
    "You leave out the teacher's training. It is the largest part of most bills.":
        dict(of_teacher=lambda students: 0),
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
        dict(of_students=lambda students: 3),
    "You train a teacher for each student. It is trained once, whatever their number.":
        dict(of_teacher=lambda students: 3 * students),
    "You leave out the number of epochs.": dict(of_epochs=lambda teacher, student: (1, 1)),
    "You leave out the student's epochs.": dict(of_epochs=lambda teacher, student: (teacher, 1)),
    "You leave out the teacher's epochs.": dict(of_epochs=lambda teacher, student: (1, student)),
    "The epochs are exchanged: `epochs` holds the teacher's first, then each student's.":
        dict(of_epochs=lambda teacher, student: (student, teacher)),
    "The networks are exchanged: `forward` holds the teacher's cost first, then the student's.":
        dict(of_forward=lambda teacher, student: (student, teacher)),
    "You take the epochs of one network for both, or those of both for one. Each has its own.":
        [dict(of_epochs=lambda teacher, student: (teacher, teacher)),
         dict(of_epochs=lambda teacher, student: (student, student)),
         dict(of_epochs=lambda teacher, student: (teacher, teacher + student)),
         dict(of_epochs=lambda teacher, student: (teacher + student, student))],
    "You leave out the number of pictures in the trainings.":
        dict(of_pictures=lambda pictures: (1, pictures, 1)),
    "The number of pictures multiplies a part of the sum only. Set brackets: it belongs to all "
    "three costs.":
        [dict(of_pictures=lambda n, parts=parts: tuple(n if each else 1 for each in parts))
         for parts in ((1, 0, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1))],
    "You leave out the students' training.": dict(of_students=lambda students: 0),
}
# fmt: on

total_bill = Exercise(
    task=__doc__,
    observe=number(
        "whole bill", wanted="one number, the sum of all costs", instead="one sum for everything"
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
