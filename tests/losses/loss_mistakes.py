"""Losses gone wrong in the ways seen in public code, with the signatures of the right ones."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Loss = Callable[..., Tensor]


def plain_kd(s: Tensor, t: Tensor, *, temperature: float = 4.0, **change: Any) -> Tensor:
    """KD as people write it, with one thing changed at a time."""
    t = t if change.get("attached") else t.detach()
    t_s, t_t = temperature, 1.0 if change.get("hot_student_only") else temperature
    log_p_s, p_t = F.log_softmax(s / t_s, 1), F.softmax(t / t_t, 1)
    if change.get("swapped"):
        log_p_s, p_t = F.log_softmax(t / t_t, 1), F.softmax(s / t_s, 1)
    if change.get("probabilities"):
        log_p_s = log_p_s.exp()
    if change.get("over_batch"):
        log_p_s, p_t = F.log_softmax(s / t_s, 0), F.softmax(t / t_t, 0)
    value = F.kl_div(log_p_s, p_t, reduction=change.get("reduction", "batchmean"))
    return value * temperature ** change.get("power", 2)


def kd(**change: Any) -> Loss:
    return lambda s, t, *, temperature=4.0: plain_kd(s, t, temperature=temperature, **change)


def plain_cse(s: Tensor, t: Tensor, *, temperature: float = 4.0, **change: Any) -> Tensor:
    t = t if change.get("attached") else t.detach()
    s, t = (t, s) if change.get("swapped") else (s, t)
    log_p_s = F.softmax(s / temperature, 1)
    log_p_s = log_p_s if change.get("probabilities") else log_p_s.log()
    product = -F.softmax(t / temperature, 1) * log_p_s
    value = product.mean() if change.get("mean") else product.sum(1).mean()
    return value * temperature ** change.get("power", 2)


def cse(**change: Any) -> Loss:
    return lambda s, t, *, temperature=4.0: plain_cse(s, t, temperature=temperature, **change)


def probability_mse(
    *, half: float = 0.5, power: int = 2, attached: bool = False, reduction: str = "mean"
) -> Loss:
    def loss(s: Tensor, t: Tensor, *, temperature: float = 4.0) -> Tensor:
        t = t if attached else t.detach()
        p_s, p_t = F.softmax(s / temperature, 1), F.softmax(t / temperature, 1)
        return half * temperature**power * F.mse_loss(p_s, p_t, reduction=reduction)

    return loss


def distillation(change: str) -> Loss:
    wrong_soft: dict[str, dict[str, Any]] = {
        "arguments swapped": {"swapped": True},
        "probabilities for log-probabilities": {"probabilities": True},
        "no T²": {"power": 0},
        "teacher not detached": {"attached": True},
    }

    def loss(
        s: Tensor, t: Tensor, y: Tensor, *, temperature: float = 4.0, alpha: float = 0.9
    ) -> Tensor:
        soft = plain_kd(s, t, temperature=temperature, **wrong_soft.get(change, {}))
        scores = s / temperature if change == "hard term softened" else s
        if change == "labels from the teacher":
            y = t.argmax(1)
        if change == "alpha on the hard term":
            alpha = 1 - alpha
        if change == "sum without 1 - alpha":
            return alpha * soft + F.cross_entropy(scores, y)
        return alpha * soft + (1 - alpha) * F.cross_entropy(scores, y)

    return loss


def dkd(change: str) -> Loss:
    def loss(
        s: Tensor,
        t: Tensor,
        y: Tensor,
        *,
        temperature: float = 4.0,
        alpha: float = 1.0,
        beta: float = 8.0,
    ) -> Tensor:
        t = t if change == "attached" else t.detach()
        s, t = (t, s) if change == "swapped" else (s, t)
        z_s, z_t, target = s / temperature, t / temperature, F.one_hot(y, s.shape[1]).bool()
        p_s, p_t = z_s.softmax(1)[target], z_t.softmax(1)[target]
        b_s, b_t = torch.stack([p_s, 1 - p_s], 1), torch.stack([p_t, 1 - p_t], 1)
        if change != "target among the others":
            z_s, z_t = z_s[~target].view(len(s), -1), z_t[~target].view(len(s), -1)
        log_q_s = z_s.softmax(1) if change == "probabilities" else z_s.log_softmax(1)
        reduction = "mean" if change == "mean" else "batchmean"
        if change == "sum":
            reduction = "sum"
        first = F.kl_div(b_s.log(), b_t, reduction=reduction)
        second = F.kl_div(log_q_s, z_t.softmax(1), reduction=reduction)
        if change == "weights swapped":
            first, second = second, first
        return (alpha * first + beta * second) * temperature ** (0 if change == "no T²" else 2)

    return loss


def dist(change: str) -> Loss:
    def rho(a: Tensor, b: Tensor, dim: int) -> Tensor:
        if change != "cosine for correlation":
            a, b = a - a.mean(dim, keepdim=True), b - b.mean(dim, keepdim=True)
        return 1 - F.cosine_similarity(a, b, dim=dim).mean()

    def loss(
        s: Tensor, t: Tensor, *, temperature: float = 1.0, beta: float = 1.0, gamma: float = 1.0
    ) -> Tensor:
        t = t if change == "attached" else t.detach()
        p_s, p_t = s / temperature, t / temperature
        if change != "logits for probabilities":
            p_s, p_t = p_s.softmax(1), p_t.softmax(1)
        rows, columns = rho(p_s, p_t, 1), rho(p_s, p_t, 1 if change == "rows twice" else 0)
        if change == "weights swapped":
            rows, columns = columns, rows
        total = beta * rows + gamma * columns
        if change == "similarity, not its lack":
            total = beta + gamma - total
        return total * temperature ** (0 if change == "no T²" else 2)

    return loss


def mse(change: str) -> Loss:
    def loss(s: Tensor, t: Tensor) -> Tensor:
        t = t if change == "attached" else t.detach()
        return {
            "attached": F.mse_loss(s, t),
            "sum": F.mse_loss(s, t, reduction="sum"),
            "half": 0.5 * F.mse_loss(s, t),
            "absolute": F.l1_loss(s, t),
            "root": F.mse_loss(s, t).sqrt(),
            "student detached": F.mse_loss(s.detach(), t) + 0 * s.sum(),
            "centred": F.mse_loss(s - s.mean(1, keepdim=True), t - t.mean(1, keepdim=True)),
        }[change]

    return loss


def attention(change: str) -> Loss:
    def attention(f: Tensor) -> Tensor:
        if change == "no squares":
            f = f.mean(1)
        elif change == "mean before the square":
            f = f.mean(1).square()
        else:
            f = f.square().mean(1)
        return f.flatten(1) if change == "not normalised" else F.normalize(f.flatten(1))

    def loss(s: Tensor, t: Tensor, *, form: str = "code") -> Tensor:
        t = t if change == "attached" else t.detach()
        if s.shape[2:] != t.shape[2:]:
            s = F.adaptive_avg_pool2d(s, t.shape[2:])
        difference = attention(s) - attention(t)
        if change == "forms swapped":
            form = "paper" if form == "code" else "code"
        if form == "paper":
            return difference.norm(dim=1).mean()
        return difference.square().sum() if change == "sum" else difference.square().mean()

    return loss


def similarity(change: str) -> Loss:
    def gram(f: Tensor) -> Tensor:
        g = f.flatten(1) @ f.flatten(1).T
        if change == "normalised as a whole":
            return g / g.norm()
        if change == "cosines":
            return F.normalize(f.flatten(1)) @ F.normalize(f.flatten(1)).T
        return g if change == "not normalised" else F.normalize(g)

    def loss(s: Tensor, t: Tensor) -> Tensor:
        difference = gram(s) - gram(t if change == "attached" else t.detach())
        batch = len(s)
        return difference.square().sum() / (batch if change == "by B" else batch**2)

    return loss


def relation(change: str) -> Loss:
    def relations(f: Tensor) -> tuple[Tensor, Tensor]:
        difference = f[None] - f[:, None]
        distance = difference.norm(dim=2)
        if change != "not normalised":
            mean = distance.mean() if change == "diagonal in the mean" else distance.sum()
            off = 1 if change == "diagonal in the mean" else (distance > 0).sum()
            distance = distance * off / mean
        direction = difference if change == "products" else F.normalize(difference, dim=2)
        return distance, direction @ direction.mT

    def loss(
        s: Tensor, t: Tensor, *, distance_weight: float = 25.0, angle_weight: float = 50.0
    ) -> Tensor:
        d_s, a_s = relations(s)
        d_t, a_t = relations(t if change == "attached" else t.detach())
        huber = F.mse_loss if change == "squares" else F.smooth_l1_loss
        if change == "weights swapped":
            distance_weight, angle_weight = angle_weight, distance_weight
        reduction = "sum" if change == "sum" else "mean"
        return distance_weight * huber(d_s, d_t, reduction=reduction) + angle_weight * huber(
            a_s, a_t, reduction=reduction
        )

    return loss
