"""A small world of its own for the deciding exercises: digits, a teacher and quick students.

Its test images are another part of scikit-learn's digits than the lessons' and no learner sees
what was measured on them before the verdict. All seeds train side by side, a fraction of a second
for a hundred steps.
"""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor

# Logits [seeds, N, classes] of the students and the rows [seeds, N] of the pictures → the loss.
Loss = Callable[[Tensor, Tensor], Tensor]
Weights = list[Tensor]

PARTS = {"train": slice(0, 900), "validation": slice(900, 1200), "test": slice(1200, None)}


@cache
def digits() -> dict[str, tuple[Tensor, Tensor]]:
    """Pictures [N, 64] and labels [N] of each part."""
    raw = load_digits()
    order = torch.randperm(len(raw.target), generator=torch.Generator().manual_seed(0))
    pictures = torch.from_numpy(raw.data)[order].to(torch.float32) / 16 - 0.3
    labels = torch.from_numpy(raw.target)[order].long()
    return {name: (pictures[part], labels[part]) for name, part in PARTS.items()}


def run(weights: Weights, pictures: Tensor) -> Tensor:
    first, shift, second, bias = weights
    return torch.relu(pictures @ first + shift) @ second + bias


def fresh(generators: Sequence[torch.Generator], *sizes: int) -> Weights:
    """Weights of the layers for each generator, to be trained."""
    made: Weights = []
    for before, after in pairwise(sizes):
        drawn = [torch.randn(before, after, generator=g, dtype=torch.float32) for g in generators]
        made += [
            torch.stack(drawn) * (2 / before) ** 0.5,
            torch.zeros(len(drawn), 1, after, dtype=torch.float32),
        ]
    return [weight.requires_grad_() for weight in made]


def train(
    loss: Loss,
    seeds: Sequence[int],
    *,
    lr: float,
    steps: int = 100,
    size: int = 50,
    width: int = 12,
) -> tuple[dict[str, Tensor], Weights]:
    """Accuracy in % on validation and test for each seed, and the weights of all."""
    pictures, _ = digits()["train"]
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    rows = torch.stack([torch.randperm(len(pictures), generator=g)[:size] for g in generators])
    weights = fresh(generators, 64, width, 10)
    optimizer = torch.optim.Adam(weights, lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(run(weights, pictures[rows]), rows).backward()
        optimizer.step()
    with torch.no_grad():
        right = {
            part: 100 * (run(weights, seen).argmax(-1) == labels).double().mean(1)
            for part, (seen, labels) in digits().items()
        }
    return right, weights


def labelled(logits: Tensor, rows: Tensor) -> Tensor:
    """The cross-entropy with the labels, a mean over pictures and a sum over seeds."""
    labels = digits()["train"][1][rows].flatten()
    return F.cross_entropy(logits.flatten(0, 1), labels, reduction="sum") / rows.shape[1]


def distilled(teacher: Tensor, temperature: float = 4.0, alpha: float = 0.9) -> Loss:
    """The distillation loss of lesson 01 with the teacher's logits for the training pictures."""

    def loss(logits: Tensor, rows: Tensor) -> Tensor:
        log_q = F.log_softmax(logits / temperature, -1)
        p = F.softmax(teacher[rows] / temperature, -1)
        soft = F.kl_div(log_q, p, reduction="none").sum(-1).mean(1).sum() * temperature**2
        return alpha * soft + (1 - alpha) * labelled(logits, rows)

    return loss


@cache
def teacher() -> tuple[Tensor, Weights]:
    """Its logits for the training pictures, and its weights."""
    _, weights = train(labelled, [1000], lr=1e-2, size=900, width=96, steps=150)
    weights = [weight.detach() for weight in weights]
    return run(weights, digits()["train"][0])[0], weights


def told(values: Any) -> str:
    """ "84.2 %", the mean of some accuracies."""
    return f"{torch.as_tensor(values, dtype=torch.float64).mean().item():.1f} %"
