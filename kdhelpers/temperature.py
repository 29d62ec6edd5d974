"""How soft the targets are: logit standardisation, which gives every sample its own temperature."""

from torch import Tensor

from kdhelpers import _validate


def standardize_logits(logits: Tensor) -> Tensor:
    """Per sample: (z − mean(z)) / (1e-7 + std(z)), with the C − 1 of an unbiased std.

    Shape (B, C) to (B, C), C ≥ 2, at least float32. Applied to both networks before `kd_loss`, it
    lets the student keep its own scale of logits: only their relations are taught. It also bounds
    what a teacher can say: with C = 10 its top probability stays below 0.36 at T = 2.
    Usual: T 2, soft weight 9, hard weight 0.1. Nothing is detached.

    Raises ValueError: logits not floating point, not (B, C), not finite, or of one class only
    (values are checked on the CPU only, see `kdhelpers._validate`).
    Source: Sun et al. 2024, arXiv 2403.01427. As in the authors' code, the std is the unbiased one
    and 1e-7 keeps a sample of equal logits finite; the paper fixes neither.
    """
    logits = _validate.logits(logits, name="logits", min_classes=2)
    centred = logits - logits.mean(dim=1, keepdim=True)
    return centred / (1e-7 + logits.std(dim=1, keepdim=True))
