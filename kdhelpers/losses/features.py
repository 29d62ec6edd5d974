"""What a student is asked to match in its teacher's *hidden layers*: pure functions on features.

F are features with samples along dimension 0 (B, …); the indices s and t mean student and teacher.
Everywhere the result is a scalar in the student's dtype, computed in at least float32; gradients
reach the student only; wrong input raises `ValueError` with the remedy (unequal batches or shapes,
not floating point, a weight below 0 or above 1e9, a batch too small; where the result is not a
number up to 1e6, on the CPU also NaN, infinity and what is beyond 1e6).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from kdhelpers._tensors import MAPS, check_pair, check_result
from kdhelpers._values import check_choice, check_weights, require


def hint_loss(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """FitNets' hint: mean of (F_s − F_t)² over all elements.

    Both of one shape; where the layers differ, a `kdhelpers.models.Regressor` maps the
    *student's* first (on the teacher's side it could make both sides 0 and learn nothing).

    Raises ValueError: wrong features (see the module).
    Source: Romero et al. 2014, arXiv 1412.6550, who sum over elements and halve.
    """
    remedy = "map the student's with a Regressor"
    pair = check_pair(student_features, teacher_features, remedy=remedy)
    return check_result(F.mse_loss(*pair), *pair, what="features")


def attention_transfer_loss(
    student_features: Tensor, teacher_features: Tensor, *, form: str = "code"
) -> Tensor:
    """Attention transfer, between Q = normalise_2(flatten(mean over channels of F²)).

    form="code":  mean over B and H·W of (Q_s − Q_t)²; usual weight 1000.
    form="paper": mean over B of ‖Q_s − Q_t‖₂, the equation's norm without its weight β/2.
    Both (B, channels, H, W); channels may differ, and the larger map is average-pooled.

    Raises ValueError: wrong features (see the module) or not 4-d; a map of one pixel; an unknown
    form.
    Source: Zagoruyko & Komodakis 2016, arXiv 1612.03928. Their code, RepDistiller's and
    torchdistill's default are "code", which is ‖Q_s − Q_t‖₂² / (H·W): not the paper's equation.
    """
    check_choice(form, ("code", "paper"), name="form")
    student, teacher = check_pair(student_features, teacher_features, dims=MAPS)
    size = (min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3]))
    told = "a map of one pixel gives all its attention to it; take a layer before the pooling"
    require(size != (1, 1), f"{told}.")
    difference = _attention(student, size) - _attention(teacher, size)
    error: Tensor = difference.norm(dim=1) if form == "paper" else difference.square()
    return check_result(error.mean(), student, teacher, what="features")


def similarity_loss(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """Similarity preserving: 1/B² · ‖G_s − G_t‖²_F with G = normalise_2 by row (F Fᵀ).

    F flattened to (B, D); D may differ. Samples that are alike for the teacher shall be alike for
    the student. One sample is always like itself, so B ≥ 2. Usual weight 3000.

    Raises ValueError: wrong features (see the module); B = 1.
    Source: Tung & Mori 2019, arXiv 1907.09682; RepDistiller agrees.
    """
    student, teacher = check_pair(student_features, teacher_features, least=2)
    grams = (_gram(features.reshape(len(features), -1)) for features in (student, teacher))
    unit_s, unit_t = (_unit(gram, gram.norm(dim=1)) for gram in grams)
    return check_result(F.mse_loss(unit_s, unit_t), student, teacher, what="features")


def relational_loss(
    student: Tensor, teacher: Tensor, *, distance_weight: float = 25.0, angle_weight: float = 50.0
) -> Tensor:
    """RKD: distance_weight · h(ψ_s, ψ_t) + angle_weight · h(φ_s, φ_t), h the mean smooth L1.

    ψ_ij = ‖F_i − F_j‖ / the mean of those above 0; φ_ijk = the cosine of the angle at sample i
    between j and k. F flattened to (B, D), D may differ; B ≥ 2, and a batch of two teaches nothing:
    its samples are always one unit apart and make no angle. Memory grows with B³ + B²·D. Pairs that
    coincide get no gradient (the usual code gives them one of up to 1e12).

    Raises ValueError: wrong features (see the module); B = 1; a weight below 0.
    Source: Park et al. 2019, arXiv 1904.05068, who sum over distinct samples. As in their code and
    RepDistiller's, h averages over all B² pairs and B³ triples, repeated indices included.
    """
    check_weights(distance_weight=distance_weight, angle_weight=angle_weight)
    student, teacher = check_pair(student, teacher, least=2)
    distance_s, angle_s = _relations(student.reshape(len(student), -1))
    distance_t, angle_t = _relations(teacher.reshape(len(teacher), -1))
    distance = F.smooth_l1_loss(distance_s, distance_t)
    angle = F.smooth_l1_loss(angle_s, angle_t)
    loss = distance_weight * distance + angle_weight * angle
    return check_result(loss, student, teacher, what="features")


def _attention(features: Tensor, size: tuple[int, int]) -> Tensor:
    """The attention map of each sample as a vector of length 1."""
    if features.shape[2:] != size:
        features = F.adaptive_avg_pool2d(features, size)
    return F.normalize(features.square().mean(dim=1).flatten(1), dim=1)


def _gram(vectors: Tensor) -> Tensor:
    """Inner products of all rows, kept in full precision: autocast would halve this product."""
    kind = vectors.device.type
    if not torch.amp.is_autocast_available(kind):
        return vectors @ vectors.mT
    with torch.autocast(kind, enabled=False):
        return vectors @ vectors.mT


def _unit(vectors: Tensor, lengths: Tensor, *, shortest: float | Tensor = 0.0) -> Tensor:
    """Vectors divided by their lengths; those that are too short have no direction and become 0.

    Dividing them by ∞ makes their gradient 0 as well. The usual small epsilon in the denominator
    would leave a gradient of 1/epsilon.
    """
    return vectors / lengths.masked_fill(lengths <= shortest, torch.inf).unsqueeze(-1)


def _relations(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Distances of all pairs in units of their mean (B, B), cosines of all triples (B, B, B)."""
    difference = vectors.unsqueeze(0) - vectors.unsqueeze(1)
    distance = difference.norm(dim=2)
    mean = distance.sum() / (distance > 0).sum().clamp_min(1)
    round_off = torch.finfo(distance.dtype).eps * mean
    cosines = _gram(_unit(difference, distance, shortest=round_off))
    return distance / mean.masked_fill(mean == 0, 1.0), cosines
