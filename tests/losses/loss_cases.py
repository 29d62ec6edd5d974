"""Every loss with the identities it obeys and the mistakes they must catch."""

from collections.abc import Callable

import loss_identities as obeys
import loss_mistakes as mistakes
from loss_identities import Case, Loss

from kdhelpers import losses

COMMON = (obeys.leaves_the_teacher_alone, obeys.is_positive_and_pulls_every_sample)
AT_TEACHER = (obeys.is_zero_at_the_teacher, obeys.has_its_minimum_at_the_teacher)
SOFT = (obeys.averages_over_the_batch, obeys.ignores_a_constant_per_sample)


def wrong(loss: Callable[[str], Loss], changes: str) -> dict[str, Loss]:
    return {change: loss(change) for change in changes.split("; ")}


CASES = {
    "kd_loss": Case(
        losses.kd_loss,
        (
            *COMMON,
            *AT_TEACHER,
            *SOFT,
            obeys.gradient_is_the_gap_of_probabilities,
            obeys.becomes_logit_matching_at_high_temperature,
            obeys.is_pytorchs_mean_times_the_classes,
        ),
        {
            "arguments swapped": mistakes.kd(swapped=True),
            "probabilities for log-probabilities": mistakes.kd(probabilities=True),
            "no T²": mistakes.kd(power=0),
            "T for T²": mistakes.kd(power=1),
            "mean": mistakes.kd(reduction="mean"),
            "sum": mistakes.kd(reduction="sum"),
            "softmax over the batch": mistakes.kd(over_batch=True),
            "temperature on the student only": mistakes.kd(hot_student_only=True),
            "teacher not detached": mistakes.kd(attached=True),
        },
    ),
    "soft_cross_entropy": Case(
        losses.soft_cross_entropy,
        (
            *COMMON,
            *SOFT,
            obeys.has_its_minimum_at_the_teacher,
            obeys.gradient_is_the_gap_of_probabilities,
            obeys.is_the_entropy_at_the_teacher,
            obeys.is_that_of_uniform_guessing_for_flat_logits,
        ),
        {
            "arguments swapped": mistakes.cse(swapped=True),
            "probabilities for log-probabilities": mistakes.cse(probabilities=True),
            "no T²": mistakes.cse(power=0),
            "mean": mistakes.cse(mean=True),
            "teacher not detached": mistakes.cse(attached=True),
            "KL instead": mistakes.plain_kd,
        },
    ),
    "probability_mse": Case(
        losses.probability_mse,
        (*COMMON, *AT_TEACHER, *SOFT, obeys.becomes_scaled_logit_matching_at_high_temperature),
        {
            "no T²": mistakes.probability_mse(power=0),
            "no half": mistakes.probability_mse(half=1.0),
            "sum": mistakes.probability_mse(reduction="sum"),
            "teacher not detached": mistakes.probability_mse(attached=True),
            "KL instead": mistakes.plain_kd,
        },
    ),
    "logit_mse": Case(
        losses.logit_mse,
        (*COMMON, *AT_TEACHER, obeys.is_the_mean_square_with_its_gradient, obeys.sees_a_constant),
        wrong(mistakes.mse, "half; sum; absolute; centred; root; attached; student detached"),
    ),
    "distillation_loss": Case(
        losses.distillation_loss,
        (*COMMON, *SOFT, obeys.ends_at_its_two_terms),
        wrong(
            mistakes.distillation,
            "arguments swapped; probabilities for log-probabilities; no T²; "
            "teacher not detached; alpha on the hard term; sum without 1 - alpha; "
            "hard term softened; labels from the teacher",
        ),
        labelled=True,
    ),
    "decoupled_kd_loss": Case(
        losses.decoupled_kd_loss,
        (
            *COMMON,
            *AT_TEACHER,
            *SOFT,
            obeys.gives_back_kd,
            obeys.second_term_ignores_the_target,
            obeys.adds_its_weighted_terms,
        ),
        wrong(
            mistakes.dkd,
            "swapped; probabilities; no T²; mean; sum; target among the others; "
            "weights swapped; attached",
        ),
        labelled=True,
        weights=("alpha", "beta"),
    ),
    "dist_loss": Case(
        losses.dist_loss,
        (
            *COMMON,
            *AT_TEACHER,
            *SOFT,
            obeys.adds_its_weighted_terms,
            obeys.forgives_a_student_mixed_with_uniform,
            obeys.is_largest_for_the_opposite_of_two_classes,
            obeys.columns_belong_to_gamma,
        ),
        wrong(
            mistakes.dist,
            "cosine for correlation; logits for probabilities; no T²; rows twice; "
            "weights swapped; similarity, not its lack; attached",
        ),
        weights=("beta", "gamma"),
        smallest=2,
    ),
    "hint_loss": Case(
        losses.hint_loss,
        (
            *COMMON,
            *AT_TEACHER,
            obeys.averages_over_the_batch,
            obeys.is_the_mean_square_with_its_gradient,
        ),
        wrong(mistakes.mse, "half; sum; absolute; attached; student detached"),
        shapes=((3, 4, 4), (3, 4, 4)),
    ),
    "attention_transfer_loss": Case(
        losses.attention_transfer_loss,
        (
            *COMMON,
            *AT_TEACHER,
            obeys.averages_over_the_batch,
            obeys.is_free_of_scale_sign_and_channel_order,
            obeys.measures_disjoint_attention,
            obeys.pools_the_larger_map,
        ),
        wrong(
            mistakes.attention,
            "no squares; mean before the square; not normalised; forms swapped; sum; attached",
        ),
        shapes=((3, 4, 5), (6, 4, 5)),
    ),
    "similarity_loss": Case(
        losses.similarity_loss,
        (
            *COMMON,
            *AT_TEACHER,
            obeys.is_free_of_rotation_and_scale,
            obeys.compares_orthogonal_with_identical_samples,
            obeys.weighs_each_sample_alike,
        ),
        wrong(
            mistakes.similarity, "not normalised; normalised as a whole; cosines; by B; attached"
        ),
        shapes=((6,), (9,)),
        smallest=2,
    ),
    "relational_loss": Case(
        losses.relational_loss,
        (
            *COMMON,
            *AT_TEACHER,
            obeys.adds_its_weighted_terms,
            obeys.is_free_of_rotation_and_scale,
            obeys.is_free_of_translation,
            obeys.compares_a_triangle_with_a_line,
        ),
        wrong(
            mistakes.relation,
            "not normalised; diagonal in the mean; products; squares; weights swapped; sum; "
            "attached",
        ),
        shapes=((6,), (9,)),
        weights=("distance_weight", "angle_weight"),
        smallest=3,
    ),
}
