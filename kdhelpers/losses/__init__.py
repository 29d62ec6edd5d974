"""What a student is asked to match: pure functions on logits and on hidden features."""

from kdhelpers.losses.features import (
    attention_transfer_loss,
    hint_loss,
    relational_loss,
    similarity_loss,
)
from kdhelpers.losses.logits import (
    decoupled_kd_loss,
    dist_loss,
    distillation_loss,
    kd_loss,
    logit_mse,
    probability_mse,
    soft_cross_entropy,
    soft_targets,
)

__all__ = ["attention_transfer_loss", "decoupled_kd_loss", "dist_loss", "distillation_loss"]
__all__ += ["hint_loss", "kd_loss", "logit_mse", "probability_mse", "relational_loss"]
__all__ += ["similarity_loss", "soft_cross_entropy", "soft_targets"]
