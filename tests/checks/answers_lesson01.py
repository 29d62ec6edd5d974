"""Lesson 01: right answers in several spellings, and mistakes of learners.

Here and in the files beside it: every answer is written out by hand, none comes from the tables of
the checks, and functions stand as learners write them, without annotations.
"""

import functools
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from kdhelpers import checks, losses

Table = dict[checks.Exercise, dict[str, Any]]  # words of the verdict → the answer, or several

# --- Soft targets ---------------------------------------------------------------------------------


def by_hand(logits, temperature):
    e = torch.exp(logits / temperature)
    return e / e.sum(dim=1, keepdim=True)


def row_by_row(z, t):
    rows = [((row - row.max()) / t).exp() for row in z]
    return torch.stack([row / row.sum() for row in rows])


class SoftTargets:
    def __call__(self, scores, tau):
        return nn.Softmax(dim=-1)(scores * (1 / tau))


def in_numpy(logits, temperature):
    z = logits.numpy() / temperature
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


# --- The distillation loss ------------------------------------------------------------------------

log_softmax, softmax, cross_entropy = F.log_softmax, F.softmax, F.cross_entropy


def raw(z, dim):
    return z


def kl(first=log_softmax, second=softmax, dim=1, at=lambda T: (T, T), **settings):
    """`kl_div` of functions of the student's and the teacher's logits."""
    settings = {"reduction": "batchmean", **settings}
    return lambda s, t, T: F.kl_div(first(s / at(T)[0], dim), second(t / at(T)[1], dim), **settings)


def swapped(first, second):
    return lambda s, t, T: kl(first, second)(t, s, T)


def total(soft, hard=lambda s, y, T: cross_entropy(s, y), scale=lambda T: T**2):
    """A loss of the terms `soft(s, t, T)`, teacher detached and scaled, and `hard(s, y, T)`."""
    return lambda s, t, y, T, a: a * scale(T) * soft(s, t.detach(), T) + (1 - a) * hard(s, y, T)


def with_hard(hard):
    return total(kl(), hard)


def without_T2(soft):
    return total(soft, scale=lambda T: 1)


def weighted(combine):
    """A loss that combines the right terms as `combine(soft, hard, alpha, T)`."""
    return lambda s, t, y, T, a: combine(T**2 * kl()(s, t.detach(), T), cross_entropy(s, y), a, T)


def of_logits(term, reduce=lambda point: point.sum(dim=1).mean()):
    """A soft term of `term(z_s / T, z_t / T)`, [B, C]."""
    return total(lambda s, t, T: reduce(term(s / T, t / T)))


def by_sums(term=lambda p, lp, q, lq: p * (lp - lq), reduce=lambda point: point.sum(dim=1).mean()):
    """A loss as the exercise asks for it, without `kl_div`; `lp` is log p."""
    return of_logits(
        lambda s, t: term(t.softmax(1), t.log_softmax(1), s.softmax(1), s.log_softmax(1)), reduce
    )


usual_loss = total(kl())
each_image = kl(reduction="none")
of_probabilities = kl(softmax, softmax)
teacher_at_1 = kl(at=lambda T: (T, 1))


def log_target_loss(s, t, y, tau, weight):
    kl_of_logs = nn.KLDivLoss(reduction="batchmean", log_target=True)
    soft = kl_of_logs((s / tau).log_softmax(-1), (t.detach() / tau).log_softmax(-1))
    return weight * tau * tau * soft + (1 - weight) * nn.CrossEntropyLoss()(s, y)


def loss_by_hand(z_s, z_t, y, T, alpha):
    batch = z_s.size(0)
    p_s, p_t = by_hand(z_s, T), by_hand(z_t, T).detach()
    soft = sum((p_t[i] * (p_t[i].log() - p_s[i].log())).sum() for i in range(batch)) / batch
    log_p = z_s - z_s.exp().sum(1, keepdim=True).log()
    return alpha * T**2 * soft - (1 - alpha) * log_p[torch.arange(batch), y].mean()


def minus_entropy(s, t, y, temperature, alpha):
    p_t = F.softmax(t.detach() / temperature, dim=1)
    soft = cross_entropy(s / temperature, p_t) - torch.special.entr(p_t).sum(1).mean()
    return alpha * temperature**2 * soft + (1 - alpha) * F.nll_loss(F.log_softmax(s, 1), y)


class DistillationLoss(nn.Module):
    def forward(self, s, t, y, tau, a):
        return usual_loss(s, t, y, tau, a).reshape(1)


def keywords_loss(s, t, y, *, alpha, temperature):
    return usual_loss(s, t, y, temperature, alpha)


def other_keywords_loss(s, t, y, *, tau, w):
    return usual_loss(s, t, y, tau, w)


def vector_of_both(s, t, y, T, alpha):
    soft = T**2 * each_image(s, t.detach(), T).sum(1)
    return alpha * soft + (1 - alpha) * cross_entropy(s, y, reduction="none")


def plain_loss(s, t, y, T, alpha):
    """Right, but it leaves the teacher's gradient to the caller."""
    return alpha * T**2 * kl()(s, t, T) + (1 - alpha) * cross_entropy(s, y)


def seed_000(s, t, y, T, alpha):
    """Of a document that this course grew from, as the next two."""
    soft = nn.KLDivLoss(reduction="batchmean")(F.softmax(s / T, dim=1), F.softmax(t / T, dim=1))
    return alpha * nn.CrossEntropyLoss()(s, y) + (1 - alpha) * soft


def seed_002(s, t, y, T, alpha):
    soft = F.kl_div(F.log_softmax(t / T, 1), F.softmax(s / T, 1), reduction="batchmean")
    return alpha * F.cross_entropy(s, y) + (1 - alpha) * soft


def seed_004(s, t, y, T, alpha):
    return alpha * nn.CrossEntropyLoss()(y, s) + (1 - alpha) * T**2 * kl()(s, t.detach(), T)


# --- One distillation step ------------------------------------------------------------------------


def step_of(
    actions="zero backward step",
    *,
    modes=("eval", "train"),  # of teacher and student
    guard=torch.no_grad,
    loss=plain_loss,
    before=lambda student, teacher, x: None,
    clear=lambda student, optimizer: optimizer.zero_grad(),
    result=lambda value, student, teacher, x, y, T, alpha: value,
):
    def step(student, teacher, x, y, optimizer, T, alpha):
        before(student, teacher, x)
        for network, mode in zip((teacher, student), modes, strict=True):
            getattr(network, mode)()
        with guard():
            target = teacher(x)
        value = loss(student(x), target, y, T, alpha)
        for action in actions.split():
            if action == "zero":
                clear(student, optimizer)
            elif action == "backward":
                value.backward()
            else:
                optimizer.step()
        return result(value, student, teacher, x, y, T, alpha)

    return step


AS_IT_IS = "modules"  # a method that changes nothing
usual_step = step_of()


def terse_step(net, big, x, y, opt, *, temperature, alpha):
    net.train().zero_grad(set_to_none=False)
    with torch.no_grad():
        target = big.train(False)(x)
    value = losses.distillation_loss(net(x), target, y, temperature=temperature, alpha=alpha)
    value.backward()
    opt.step()
    opt.zero_grad()
    return float(value)


def two_backwards_step(student, teacher, x, y, optimizer, T, alpha):
    mode = teacher.training
    targets = teacher.eval().requires_grad_(False)(x)
    teacher.train(mode)
    optimizer.zero_grad()
    logits = student.train()(x)
    soft, hard = alpha * T**2 * kl()(logits, targets, T), (1 - alpha) * cross_entropy(logits, y)
    soft.backward(retain_graph=True)
    hard.backward()
    optimizer.step()
    return np.float64(soft.item() + hard.item())


def own_gradient_step(student, teacher, x, y, optimizer, T, alpha):
    with torch.no_grad():
        targets = teacher.eval()(x)
    loss = usual_loss(student.train()(x), targets, y, T, alpha)
    parameters = list(student.parameters())
    for p, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        p.grad = gradient
    optimizer.step()
    return loss


def closure_step(student, teacher, x, y, optimizer, T, alpha):
    def closure():
        optimizer.zero_grad()
        with torch.no_grad():
            targets = teacher.eval()(x)
        loss = usual_loss(student.train()(x), targets, y, T, alpha)
        loss.backward()
        return loss

    return optimizer.step(closure)


def two_passes_step(student, teacher, x, y, optimizer, T, alpha):
    with torch.no_grad():
        targets = teacher.eval()(x)
    student.train()
    loss = alpha * T**2 * kl()(student(x), targets, T) + (1 - alpha) * cross_entropy(student(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@torch.no_grad()
def look(student, teacher, x):
    student.eval()(x)


@torch.no_grad()
def nudge(student, teacher, x):
    teacher[1].weight[0, 0] += 1e-5


@torch.no_grad()
def accuracy_too(value, student, teacher, x, y, T, alpha):
    assert 0 <= (student(x).argmax(1) == y).float().mean() <= 1
    return value


def computed_again(training):
    @torch.no_grad()
    def result(value, student, teacher, x, y, T, alpha):
        return plain_loss(student.train(training)(x), teacher(x), y, T, alpha).item()

    return step_of(result=result)


def given(s=lambda s, T: s, t=lambda t, T: t):
    """A step that hands `s(student's logits, T)` and `t(teacher's logits, T)` to the loss."""
    return step_of(loss=lambda z, v, y, T, a: plain_loss(s(z, T), t(v, T), y, T, a))


RIGHT: Table = {
    checks.soft_targets: {
        "": [
            losses.soft_targets,
            lambda z, t: F.softmax(z / t, dim=1),
            row_by_row,
            lambda z, t: F.log_softmax(z / t, 1).exp(),
            SoftTargets(),
            functools.partial(lambda z, t, dim: torch.softmax(z / t, dim), dim=1),
            SoftTargets().__call__,
            in_numpy,
            lambda z, t: F.softmax(z.double() / t, dim=1),
        ],
        "overflow": by_hand,
    },
    checks.distillation_loss: {
        "": [by_sums(), minus_entropy],
        "calls `F.kl_div`, and the exercise asks for it without": [
            losses.distillation_loss,
            usual_loss,
            log_target_loss,
            DistillationLoss(),
            keywords_loss,
            other_keywords_loss,
            functools.partial(usual_loss),
            lambda *arguments: usual_loss(*arguments),
            lambda s, t, y, T, a: usual_loss(s, t, y, torch.tensor(T), torch.tensor(a)),
            lambda s, t, y, T, a: usual_loss(s.double(), t.double(), y, T, a),
        ],
        "not finite": loss_by_hand,
    },
    checks.distillation_step: {
        "": [
            usual_step,
            terse_step,
            two_backwards_step,
            own_gradient_step,
            closure_step,
            step_of(before=look),
            step_of(clear=lambda student, o: student.zero_grad()),
            step_of(clear=lambda student, o: student.zero_grad(set_to_none=False)),
            step_of(clear=lambda student, o: o.zero_grad(set_to_none=True)),
            step_of(clear=lambda student, o: o.zero_grad(set_to_none=False)),
            step_of(clear=lambda student, o: [p.grad.zero_() for p in student.parameters()]),
        ],
        "outside `torch.no_grad()`": [
            step_of(guard=torch.enable_grad, loss=usual_loss),
            step_of(
                guard=torch.enable_grad,
                loss=lambda s, t, y, T, a: losses.distillation_loss(
                    s, t.detach(), y, temperature=T, alpha=a
                ),
            ),
        ],
        "more than once in train mode": [two_passes_step, step_of(result=accuracy_too)],
    },
}

WRONG: Table = {
    checks.soft_targets: {
        "multiplied": lambda z, t: F.softmax(z * t, dim=1),
        "not used": [lambda z, t: F.softmax(z, dim=1), lambda z, t: torch.softmax(z / 1.0, dim=1)],
        "temperature²": lambda z, t: F.softmax(z / t**2, dim=1),
        "after the softmax": lambda z, t: F.softmax(z, dim=1) / t,
        "`dim=1`": lambda z, t: F.softmax(z / t, dim=0),
        "whole batch": lambda z, t: F.softmax((z / t).view(-1), 0).view_as(z),
        "log-probabilities": lambda z, t: F.log_softmax(z / t, dim=1),
        "sigmoid": lambda z, t: torch.sigmoid(z / t),
        "not yet probabilities": lambda z, t: z / t,
        "twice": lambda z, t: torch.softmax(torch.softmax(z / t, 1), 1),
        "do not add up to 1": lambda z, t: torch.exp(z / t),
        "`keepdim=True` for a sum": lambda z, t: (z / t).exp() / (z / t).exp().sum(0),
        "Keep the dimension": lambda z, t: (z / t).exp() / (z / t).exp().sum(1),
        "2 things": lambda z, t: F.softmax(z, dim=0),
        "`argmax` keeps": lambda z, t: F.one_hot((z / t).argmax(dim=1), z.shape[1]),
        "always 4": lambda z, t: torch.softmax(z / 4.0, dim=-1),
        "always 2": lambda z, t, T=2: (z / T).softmax(1),
    },
    checks.distillation_loss: {
        "where its LOG-probabilities belong": [
            total(of_probabilities),
            by_sums(lambda p, lp, q, lq: p * (lp - q)),
        ],
        "divergence is turned round, KL(student": [
            total(swapped(log_softmax, softmax)),
            by_sums(lambda p, lp, q, lq: q * (lq - lp)),
        ],
        "turned round, and a probability": total(swapped(softmax, softmax)),
        "logarithm of the teacher's log-probabilities": total(kl(log_softmax, log_softmax)),
        "inside an `exp` as well": total(kl(log_target=True)),
        "student's plain logits": [
            total(kl(raw, softmax)),
            of_logits(lambda s, t: t.softmax(1) * (t.log_softmax(1) - s)),
        ],
        "teacher's plain logits stand where its prob": total(kl(log_softmax, raw)),
        "teacher's plain logits stand in the brackets": of_logits(
            lambda s, t: t.softmax(1) * (t - s.log_softmax(1))
        ),
        "Plain logits are subtracted": of_logits(lambda s, t: t.softmax(1) * (t - s)),
        "softmax twice": total(kl(lambda z, dim: z.softmax(dim).log_softmax(dim), softmax)),
        "never reaches 0": [
            total(lambda s, t, T: cross_entropy(s / T, softmax(t / T, 1))),
            by_sums(lambda p, lp, q, lq: -p * lq),
        ],
        "squared difference": by_sums(lambda p, lp, q, lq: (q - p).pow(2)),
        "sign of the soft term": [
            by_sums(lambda p, lp, q, lq: p * (lq - lp)),
            by_sums(reduce=lambda k: -k.sum(dim=1).mean()),
            of_logits(lambda s, t: t.softmax(1) * (s.softmax(1) / t.softmax(1)).log()),
        ],
        "`log_p.exp()`": by_sums(lambda p, lp, q, lq: lp * (lp - lq)),
        "and the sign": by_sums(lambda p, lp, q, lq: lp * (lq - lp)),
        "weighted with the student's probabilities": by_sums(lambda p, lp, q, lq: q * (lp - lq)),
        "weights are missing": by_sums(lambda p, lp, q, lq: lp - lq),
        "set brackets": by_sums(lambda p, lp, q, lq: p * lp - lq),
        "`F.log_softmax` for both": by_sums(lambda p, lp, q, lq: p * (p - q)),
        "`F.log_softmax` for the": by_sums(lambda p, lp, q, lq: p * (p - lq)),
        "p · log q alone": by_sums(lambda p, lp, q, lq: p * lq),
        "factor temperature² is missing": without_T2(kl()),
        "by its square": total(kl(), scale=lambda T: T),
        "divided by temperature²": total(kl(), scale=lambda T: T**-2),
        "whole sum": weighted(lambda soft, hard, a, T: a * soft + T**2 * (1 - a) * hard),
        "sits on the hard term": total(
            kl(), lambda s, y, T: T**2 * cross_entropy(s, y), lambda T: 1
        ),
        "teacher's logits are not divided": total(teacher_at_1),
        "student's logits are not divided": total(kl(at=lambda T: (1, T))),
        "neither the student's": total(kl(at=lambda T: (1, 1))),
        "multiplied by the": total(kl(at=lambda T: (1 / T, 1 / T))),
        "applied to the hard term": with_hard(lambda s, y, T: cross_entropy(s / T, y)),
        "images of the batch": total(kl(dim=0)),
        "averaged over the classes, too": [
            total(kl(reduction="mean")),
            by_sums(reduce=lambda k: k.mean(dim=1).mean()),
        ],
        "instead of the number of images": [
            by_sums(reduce=lambda k: k.sum(0).mean()),
            by_sums(reduce=lambda k: k.mean(1).sum()),
        ],
        "grows with the number of images": [
            total(kl(reduction="sum")),
            by_sums(reduce=lambda k: k.sum()),
        ],
        "one loss for each image": total(lambda s, t, T: each_image(s, t, T).sum(1)),
        "averaged over the classes. Sum": by_sums(reduce=lambda k: k.mean(dim=1)),
        "one number for each class": [
            by_sums(reduce=lambda k: k.sum(0)),
            by_sums(reduce=lambda k: k.mean(dim=0)),
        ],
        "a loss for each image": vector_of_both,
        "each image and class": total(each_image),
        "hard term is summed": with_hard(lambda s, y, T: cross_entropy(s, y, reduction="sum")),
        "arguments of `cross_entropy` are swapped": [
            with_hard(lambda s, y, T: nn.CrossEntropyLoss()(y, s)),
            with_hard(lambda s, y, T: cross_entropy(y.float(), s)),
            with_hard(lambda s, y, T: cross_entropy(F.one_hot(y, s.shape[1]).float(), s)),
        ],
        "cross_entropy` contains the softmax already": with_hard(
            lambda s, y, T: cross_entropy(s.softmax(1), y)
        ),
        "probabilities at the temperature": with_hard(
            lambda s, y, T: cross_entropy((s / T).softmax(1), y)
        ),
        "`nll_loss` wants": with_hard(lambda s, y, T: F.nll_loss(s, y)),
        "compares the teacher with the labels": lambda s, t, y, T, a: (
            a * T**2 * kl()(s, t.detach(), T) + (1 - a) * cross_entropy(t.detach(), y)
        ),
        "the SOFT term": weighted(lambda soft, hard, a, T: (1 - a) * soft + a * hard),
        "Only the soft term": [
            weighted(lambda soft, hard, a, T: soft),
            weighted(lambda soft, hard, a, T: a * soft),
        ],
        "Only the hard": [
            weighted(lambda soft, hard, a, T: hard),
            weighted(lambda soft, hard, a, T: (1 - a) * hard),
        ],
        "without weights": weighted(lambda soft, hard, a, T: soft + hard),
        "hard term has no": weighted(lambda soft, hard, a, T: a * soft + hard),
        "soft term has no weight": weighted(lambda soft, hard, a, T: soft + (1 - a) * hard),
        "weighted by alpha": weighted(lambda soft, hard, a, T: a * (soft + hard)),
        "No gradient reaches the student": [
            lambda *x: usual_loss(*x).item(),
            lambda *x: usual_loss(*x).detach(),
            torch.no_grad()(lambda *x: usual_loss(*x)),
        ],
        "A gradient reaches `teacher_logits`": plain_loss,
        "gradient of the loss for student_logits": with_hard(
            lambda s, y, T: cross_entropy(s, y).item()
        ),
        "always 4": lambda s, t, y, T, a: a * losses.kd_loss(s, t) + (1 - a) * cross_entropy(s, y),
        "always 0.9": lambda s, t, y, T, a: losses.distillation_loss(s, t, y, temperature=T),
        "2 things | always 4 | always 0.9": lambda s, t, y, T, a: losses.distillation_loss(s, t, y),
        "2 things | LOG-prob | temperature² is missing": without_T2(of_probabilities),
        "2 things | turned round | temperature² is missing": without_T2(
            swapped(log_softmax, softmax)
        ),
        "2 things | averaged over the classes | temperature² is": without_T2(kl(reduction="mean")),
        "2 things | teacher's logits are not | temperature² is": without_T2(teacher_at_1),
        "2 things | sign of | temperature² is missing": without_T2(lambda s, t, T: -kl()(s, t, T)),
        "2 things | student's prob | instead of": by_sums(
            lambda p, lp, q, lq: q * (lp - lq), lambda k: k.sum(0).mean()
        ),
        "4 things | LOG-prob | temperature² is | SOFT term | reaches `teacher_logits`": seed_000,
        "4 things | turned round | temperature² is missing | the SOFT term": seed_002,
        "`cross_entropy` are swapped | NotImplemented": seed_004,
        "fit no mistake | student_logits = [[ | labels = [ | temperature = 2 | loss should be": (
            lambda s, t, y, T, a: (s**2).mean() + 10
        ),
        "is negative | p · (log p - log q) | yours is | not: kl_div": lambda s, *rest: (
            -(s**2).sum()
        ),
    },
    checks.distillation_step: {
        "teacher runs in train mode": step_of(modes=(AS_IT_IS, "train")),
        "student runs in eval mode": [
            step_of(modes=("eval", AS_IT_IS)),
            step_of(modes=("eval", "eval")),
        ],
        "Gradients reach the teacher": step_of(guard=torch.enable_grad),
        "teacher's weights changed": step_of(before=nudge),
        "gradients of the step before": [step_of("backward step"), step_of("backward step zero")],
        "no `loss.backward()`": step_of("zero step"),
        "along old gradients": step_of("step"),
        "no `optimizer.step()`": [step_of("zero backward"), step_of("backward")],
        "comes before `loss.backward()`": [
            step_of("zero step backward"),
            step_of("step zero backward"),
            step_of("step backward"),
        ],
        "between backward and step": step_of("backward zero step"),
        "does not learn": step_of(""),
        "`temperature` but": step_of(loss=lambda s, t, y, T, a: plain_loss(s, t, y, 4.0, a)),
        "`alpha` but": step_of(loss=lambda s, t, y, T, a: plain_loss(s, t, y, T, 0.9)),
        "neither": step_of(loss=lambda s, t, y, T, a: plain_loss(s, t, y, 4.0, 0.9)),
        "Inside the loss | temperature² is missing": step_of(loss=without_T2(kl())),
        "returns nothing": step_of(result=lambda *_: None),
        "returned a tuple": step_of(result=lambda value, *_: (value, 1)),
        "one number": step_of(result=lambda value, *_: value.expand(2)),
        "2 things | teacher runs in train mode | gradients of the step before": step_of(
            "backward step", modes=(AS_IT_IS, "train")
        ),
        "2 things | teacher runs in train mode | Gradients reach the teacher": step_of(
            modes=(AS_IT_IS, "train"), guard=torch.enable_grad
        ),
        "line  | backward() | lost its connection": step_of(loss=torch.no_grad()(usual_loss)),
        "the loss should be | the exercise before": step_of(
            loss=lambda s, t, y, T, a: (s - t).abs().mean()
        ),
        "weights after the step should be | The loss is right": step_of("zero backward step step"),
        "the teacher's probabilities": [
            given(t=lambda t, T: F.softmax(t, dim=1)),
            given(t=lambda t, T: F.softmax(t / T, dim=1)),
        ],
        "the student's probabilities": given(lambda s, T: s.softmax(1)),
        "probabilities of both": given(
            lambda s, T: (s / T).softmax(1), lambda t, T: (t / T).softmax(1)
        ),
        "computed again after `optimizer.step()`": [computed_again(True), computed_again(False)],
    },
}
