"""Lesson 06: right answers in several spellings, and mistakes of learners; see `test_answers`."""

from kdhelpers import stats

compare, paired = stats.compare, stats.paired_difference


ANSWERS = """
# total_bill(forward, epochs, pictures, students)
(F_t, F_s), (teacher_epochs, student_epochs) = forward, epochs
teacher = 3 * F_t * pictures * teacher_epochs
answers = F_t * pictures
return teacher + answers + students * 3 * F_s * pictures * student_epochs

✓ → as it stands
costs three forward passes, not one → teacher = 3 * ⇒ teacher =
Each training step of a student → students * 3 * ⇒ students *
leave out the teacher's training → teacher + answers ⇒ answers
leave out the teacher's answers → teacher + answers ⇒ teacher
answer in every epoch → answers = F_t ⇒ answers = student_epochs * F_t
once for every student → answers = F_t ⇒ answers = students * F_t
one forward pass, not three → answers = F_t ⇒ answers = 3 * F_t
one student → students * 3 ⇒ 3
a teacher for each student → teacher = 3 ⇒ teacher = students * 3
student's epochs → * student_epochs ⇒
epochs are exchanged → forward, epochs ⇒ forward, epochs[::-1]
networks are exchanged → forward, epochs ⇒ forward[::-1], epochs
those of both for one → forward, epochs ⇒ forward, (epochs[0], sum(epochs))
Set brackets → answers + students * 3 * F_s * pictures ⇒ F_t + students * 3 * F_s
leave out the students' training → + students * 3 * F_s * pictures * student_epochs ⇒

# adopted_tip(baseline, tips)
found = compare(baseline, tips)
clear = {name: each for name, each in found.items() if each.simultaneous.low > 0}
return max(clear, key=lambda name: clear[name].difference.mean, default=None)

✓ → as it stands
whether or not its gain → if each.simultaneous.low > 0 ⇒
interval above zero | zero or some other number →
each.simultaneous.low > 0 ⇒ each.difference.mean > 0
You never adopt → each.simultaneous.low > 0 ⇒ each.difference.mean > 5
better for every seed → each.simultaneous.low > 0 ⇒ all(b < x for b, x in zip(baseline, tips[name]))
better for every seed →
each.simultaneous.low > 0 ⇒ min(x - b for b, x in zip(baseline, tips[name])) > 0.005
too wide → compare(baseline, tips) ⇒ compare(baseline, tips, confidence=1 - 0.05 / 15)
any clear change → each.simultaneous.low > 0 ⇒ each.simultaneous.low * each.simultaneous.high > 0
upper end of the interval → simultaneous.low ⇒ simultaneous.high
you take the last →
max(clear, key=lambda name: clear[name].difference.mean, default=None) ⇒ [None, *clear][-1]
fits no mistake | broad, with a mean gain → difference.mean ⇒ simultaneous.high
fits no mistake | wide, with a mean gain of +0.0580 → default=None ⇒ default=list(tips)[-1]
a text → default=None ⇒ default="None"
a text → default=None ⇒ default=""
of each tip alone → each.simultaneous.low > 0 ⇒ each.difference.low > 0
you take the surest | best single seed → difference.mean ⇒ simultaneous.low
smallest gain → max(clear ⇒ min(clear
changes its argument `tips` → found = ⇒ tips.pop("worse", 0); found =
adopt none → default=None ⇒ default=list(tips)[0]
"""
