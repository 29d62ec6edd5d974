"""Lesson 02: right answers in several spellings, and mistakes of learners."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from answers_lesson01 import Table, kl

from kdhelpers import checks, losses


def entropy_by_loop(p):
    return torch.tensor([-sum(q * math.log(q) for q in row if q > 0) for row in p.tolist()])


# --- The temperature for a confidence -------------------------------------------------------------


def top(logits, temperature):
    return F.softmax(logits / temperature, dim=0).max().item()


def bisection(
    logits,
    target,
    *,
    low=0.01,
    high=100.0,
    times=60,
    middle_of=lambda low, high: (low + high) / 2,
    top_of=top,
    rising=False,
):
    for _ in range(times):
        middle = middle_of(low, high)
        below = top_of(logits, middle) < target
        low, high = (low, middle) if below != rising else (middle, high)
    return high


def bisection_with_while(logits, target):
    low, high = torch.tensor(0.05), torch.tensor(50.0)
    while high - low > 1e-4:
        middle = (low + high) / 2
        above = F.softmax(logits / middle, dim=-1).max() > target
        low, high = (middle, high) if above else (low, middle)
    return high


def grid(logits, target):
    temperatures = torch.logspace(-1, 2, 20_001)
    tops = (logits / temperatures[:, None]).softmax(dim=1).max(dim=1).values
    return temperatures[(tops - target).abs().argmin()]


def bisection_that_raises(logits, target):
    if target < 1 / len(logits):
        raise ValueError("target is unreachable")
    return bisection(logits, target)


def bisection_that_asserts(logits, target):
    assert target > 1 / len(logits)
    return bisection(logits, target)


def endless_search(logits, target):
    low, high, middle = 0.01, 100.0, 1.0
    while abs(top(logits, middle) - target) > 5e-4:
        middle = (low + high) / 2
        low, high = (middle, high) if top(logits, middle) > target else (low, middle)
    return middle


# --- The gradient by hand -------------------------------------------------------------------------


def gradient_by_hand(s, t, T):
    return T * (F.softmax(s / T, dim=1) - F.softmax(t / T, dim=1)) / len(s)


def gradient_by_autograd(s, t, T):
    s = s.clone().requires_grad_()
    (T**2 * kl()(s, t, T)).backward()
    return s.grad


def scaled(factor):
    return lambda s, t, T: gradient_by_hand(s, t, T) * factor(s, T)


entr = torch.special.entr

RIGHT: Table = {
    checks.entropy: {
        "": [
            lambda p: entr(p).sum(-1),
            lambda p: -(p * p.clamp(min=1e-12).log()).sum(dim=1),
            lambda probabilities: -(probabilities * torch.log(probabilities + 1e-9)).sum(1),
            lambda p: -torch.xlogy(p, p).sum(dim=1),
            lambda p: -(p * p.log()).nan_to_num(0.0).sum(1),
            lambda p: torch.distributions.Categorical(probs=p).entropy(),
            entropy_by_loop,
            lambda p: -(torch.xlogy(p, p) / math.log(2)).sum(1) * math.log(2),
        ],
    },
    checks.temperature_for_confidence: {
        "": [
            bisection,
            lambda z, t: bisection(z, t, high=1000.0, middle_of=lambda a, b: (a * b) ** 0.5),
            lambda z, t: bisection(z, t) if t > 1 / len(z) else 1000,
            bisection_that_raises,
            bisection_with_while,
            grid,
            lambda z, t: np.float32(bisection(z, t)),
            lambda z, t: torch.tensor([bisection(z, t)]),
            lambda z, t: bisection(z, t) if t > 1 / len(z) else math.inf,
        ],
    },
    checks.gradient_ratio: {
        "": [
            gradient_by_hand,
            lambda s, t, T: T**2 * (1 / T) * (gradient_by_hand(s, t, T) / T),
            gradient_by_autograd,
            lambda student, teacher, tau: torch.func.grad(
                lambda s: losses.kd_loss(s, teacher, temperature=tau)
            )(student),
        ],
    },
}

WRONG: Table = {
    checks.entropy: {
        "bits": lambda p: -(p * p.clamp(min=1e-20).log2()).sum(1),
        "2 things | bits": lambda p: -(p * p.log2()).sum(1),
        "base 10": lambda p: -(p * p.clamp(min=1e-20).log10()).sum(1),
        "sign": lambda p: torch.xlogy(p, p).sum(1),
        "gives nan": lambda p: -(p * p.log()).sum(1),
        "log p alone": lambda p: -p.log().sum(1),
        "whole batch": lambda p: entr(p).sum(),
        "average over the batch": lambda p: entr(p).sum(1).mean(),
        "`dim=0`": lambda p: entr(p).sum(dim=0),
        "average over the classes": lambda p: entr(p).mean(1),
        "average over everything": lambda p: entr(p).mean(),
        "`keepdim=True`": lambda p: entr(p).sum(1, keepdim=True),
        "for each class": lambda p: entr(p),
        "probabilities already": lambda p: entr(p.softmax(1)).sum(1),
        "perplexity": lambda p: entr(p).sum(1).exp(),
        "log C": lambda p: entr(p).sum(1) / math.log(p.shape[1]),
        "2 things | sign": lambda p: (p * p.log()).sum(1),
    },
    checks.temperature_for_confidence: {
        "1/T": lambda z, t: 1 / bisection(z, t),
        "FALLS as T rises": lambda z, t: bisection(z, t, rising=True),
        "cannot be reached": bisection_that_asserts,
        "cannot be reached | did not finish | `while` loop": endless_search,
        "Your code stopped": lambda z, t: float("no"),
        "should be": lambda z, t: bisection(z, t) if t > 1 / len(z) else 0.01,
        "T²": lambda z, t: bisection(z, t) ** 2,
        "logarithm": lambda z, t: math.log(bisection(z, t)),
        "-T": lambda z, t: -bisection(z, t),
        "at T = 1.5": lambda z, t: 1.5,
        "far off": [lambda z, t: 0, lambda z, t: math.nan],
        "do it more often | not: fit no mistake": lambda z, t: bisection(
            z, t, high=1000.0, times=8
        ),
        "not close enough": lambda z, t: 3 * bisection(z, t),
        "3 numbers": lambda z, t: z,
        "returned a str": lambda z, t: "hot",
    },
    checks.gradient_ratio: {
        "T² times too small": scaled(lambda s, T: T**-2),
        "chain rule is forgotten": scaled(lambda s, T: T),
        "factor T is missing": scaled(lambda s, T: 1 / T),
        "one 1/T too much": scaled(lambda s, T: T**-3),
        "sign is turned round": scaled(lambda s, T: -1),
        "divide by B, the number of rows": scaled(lambda s, T: len(s)),
        "B · C": scaled(lambda s, T: 1 / s.shape[1]),
        "number of classes": scaled(lambda s, T: s.shape[0] / s.shape[1]),
        "taken at T = 1": lambda s, t, T: T * gradient_by_hand(s, t, 1.0),
        "images of the batch": lambda s, t, T: (
            T * (F.softmax(s / T, 0) - F.softmax(t / T, 0)) / len(s)
        ),
        "2 things": scaled(lambda s, T: -len(s)),
    },
}
