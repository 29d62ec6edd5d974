"""The checks of lesson 03 against right answers in several spellings, and against mistakes.

Every wrong answer here is written out by hand; none comes from the table the checks use.
"""

import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from test_checks import ODD_ANSWERS, STUBS, assert_right, assert_wrong, table
from torch import Tensor

from kdhelpers import checks
from kdhelpers.checks import exercise, running

Answer = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("global_random_state_is_left_alone")

CHECKS = {
    "gap_closed": (checks.gap_closed, checks.gap_closed),
    "mean_std": (checks.mean_std, checks.mean_std),
    "cached_logits": (checks.cached_logits, checks.cached_logits),
}
EVERY_CHECK = pytest.mark.parametrize("check", [c for c, _ in CHECKS.values()], ids=CHECKS)
EVERY_EXERCISE = table(**{name: e for name, (_, e) in CHECKS.items()})


# --- The share of the gap -------------------------------------------------------------------------


def mean(x: Any) -> Any:
    return sum(x) / len(x)


def share(teacher: Any, alone: Any, distilled: Any) -> Any:
    return (mean(distilled) - mean(alone)) / (teacher - mean(alone))


def share_in_torch(teacher: float, alone: list[float], distilled: list[float]) -> Any:
    a = torch.tensor(alone)
    return (torch.tensor(distilled) - a).mean() / (teacher - a).mean()


def share_of_what_is_left(teacher: float, alone: list[float], distilled: list[float]) -> Any:
    a, d = statistics.mean(alone), statistics.mean(distilled)
    return 1 - (teacher - d) / (teacher - a)


def share_pair_by_pair(teacher: float, alone: list[float], distilled: list[float]) -> Any:
    gains = [d - a for a, d in zip(alone, distilled, strict=True)]
    return sum(gains) / sum(teacher - a for a in alone)


RIGHT_SHARES = dict(
    by_hand=share,
    numpy=lambda t, a, d: (np.mean(d) - np.mean(a)) / (t - np.mean(a)),
    torch=share_in_torch,
    left=share_of_what_is_left,
    pairs=share_pair_by_pair,
    float32=lambda t, a, d: np.float32(share(t, a, d)),
    vector=lambda t, a, d: torch.tensor([share(t, a, d)]),
)


@table(**RIGHT_SHARES)
def test_gap_right(row: Answer) -> None:
    assert_right(checks.gap_closed(row))


def per_seed(t: float, alone: list[float], distilled: list[float]) -> Any:
    return np.mean([(d - a) / (t - a) for a, d in zip(alone, distilled, strict=True)])


def per_seed_arrays(t: float, alone: list[float], distilled: list[float]) -> Any:
    return ((np.array(distilled) - np.array(alone)) / (t - np.array(alone))).mean()


@table(
    sign=(lambda t, a, d: (mean(a) - mean(d)) / (t - mean(a)), "sign is turned round"),
    sign_below=(lambda t, a, d: (mean(d) - mean(a)) / (mean(a) - t), "sign is turned round"),
    percent=(lambda t, a, d: 100 * share(t, a, d), "percent"),
    percent_and_sign=(lambda t, a, d: -100 * share(t, a, d), "2 things"),
    gain=(lambda t, a, d: mean(d) - mean(a), "divided by the gap"),
    points=(lambda t, a, d: 100 * (mean(d) - mean(a)), "2 things"),
    by_teacher=(lambda t, a, d: (mean(d) - mean(a)) / t, "divide by the teacher's accuracy"),
    by_student=(lambda t, a, d: (mean(d) - mean(a)) / mean(a), "relative gain"),
    relative=(lambda t, a, d: mean(d) / mean(a) - 1, "relative gain"),
    errors=(lambda t, a, d: (mean(d) - mean(a)) / (1 - mean(a)), "divide by the errors"),
    by_rest=(lambda t, a, d: (mean(d) - mean(a)) / (t - mean(d)), "left to the teacher after"),
    left=(lambda t, a, d: (t - mean(d)) / (t - mean(a)), "1 minus it"),
    one_minus=(lambda t, a, d: 1 - share(t, a, d), "1 minus it"),
    distance=(lambda t, a, d: t - mean(d), "distance to the teacher that is left"),
    inverse=(lambda t, a, d: 1 / share(t, a, d), "upside down"),
    of_teacher=(lambda t, a, d: mean(d) / t, "distilled student and teacher"),
    of_student=(lambda t, a, d: mean(d) / mean(a), "of the two students"),
    no_brackets=(lambda t, a, d: mean(d) - mean(a) / t - mean(a), "Brackets are missing"),
    no_upper=(lambda t, a, d: mean(d) - mean(a) / (t - mean(a)), "above the fraction line"),
    no_lower=(lambda t, a, d: (mean(d) - mean(a)) / t - mean(a), "below the fraction line"),
    per_seed=(per_seed, "average the shares of the seeds"),
    per_seed_arrays=(per_seed_arrays, "divides by almost 0"),
    best=(lambda t, a, d: (max(d) - max(a)) / (t - max(a)), "best seed of both"),
    best_distilled=(
        lambda t, a, d: (max(d) - mean(a)) / (t - mean(a)),
        "favours distillation",
    ),
    best_alone=(lambda t, a, d: (mean(d) - max(a)) / (t - max(a)), "best one alone"),
    worst=(lambda t, a, d: (min(d) - min(a)) / (t - min(a)), "worst seed"),
    first=(lambda t, a, d: (d[0] - a[0]) / (t - a[0]), "first seed only"),
    last=(lambda t, a, d: (d[-1] - a[-1]) / (t - a[-1]), "last seed only"),
    median=(
        lambda t, a, d: (np.median(d) - np.median(a)) / (t - np.median(a)),
        "medians",
    ),
    sums=(lambda t, a, d: (sum(d) - sum(a)) / (t - sum(a)), "number of seeds"),
    cut=(lambda t, a, d: np.clip(share(t, a, d), 0, 1), "between 0 and 1"),
    cut_below=(lambda t, a, d: max(0, share(t, a, d)), "off at 0"),
    cut_above=(lambda t, a, d: min(1, share(t, a, d)), "off at 1"),
    absolute=(lambda t, a, d: abs(share(t, a, d)), "absolute value"),
    method=(lambda t, a, d: (d.mean() - a.mean()) / (t - a.mean()), "no method `mean`"),
    lists=(lambda t, a, d: mean(d - a) / (t - mean(a)), "Lists cannot be subtracted"),
    gap_lists=(lambda t, a, d: mean(t - a), "Lists cannot be subtracted"),
    several=(lambda t, a, d: [1.0, 2.0], "returned a list"),
    each=(
        lambda t, a, d: (np.array(d) - np.array(a)) / (t - np.array(a)),
        "returned 2 numbers; it should return one share",
    ),
)
def test_gap_wrong(row: tuple[Answer, str]) -> None:
    answer, words = row
    assert_wrong(checks.gap_closed(answer), words)


def test_an_unknown_share_is_shown_beside_the_lists_it_came_from() -> None:
    verdict = checks.gap_closed(lambda t, a, d: share(t, a, d) + 0.25)
    assert_wrong(verdict, "alone = [0.7, 0.8]", "distilled = [0.82, 0.84]", "0.53333", "0.78333")


# --- Mean and standard deviation ------------------------------------------------------------------

C = (0, 2, 3)


def usual_statistics(images: Tensor) -> Any:
    x = images.float() / 255
    return x.mean(dim=C), x.std(dim=C)


def from_sums(images: Tensor) -> Any:
    count = images[:, 0].numel()
    first = sum(batch.double().sum(dim=C) for batch in images.split(64)) / count
    second = sum(batch.double().pow(2).sum(dim=C) for batch in images.split(64)) / count
    return first / 255, (second - first**2).sqrt() / 255


def by_channel(images: Tensor) -> Any:
    channels = [images[:, c].numpy() / 255 for c in range(images.shape[1])]
    return [float(x.mean()) for x in channels], [x.std() for x in channels]


def per_pixel_table(images: Tensor) -> Any:
    pixels = images.movedim(1, -1).reshape(-1, images.shape[1]) / 255
    return pixels.mean(0), pixels.std(0, correction=0)


RIGHT_STATISTICS = dict(
    usual=usual_statistics,
    std_mean=lambda images: torch.std_mean(images / 255, dim=C)[::-1],
    population=lambda images: ((images / 255).mean(C), (images / 255).std(C, correction=0)),
    numpy=lambda x: (x.numpy().mean(axis=C) / 255, x.numpy().std(axis=C) / 255),
    sums=from_sums,
    by_channel=by_channel,
    table=per_pixel_table,
    stacked=lambda images: torch.stack(usual_statistics(images)),
    array=lambda images: np.stack(usual_statistics(images)),
    a_list=lambda images: list(usual_statistics(images)),
    transposed=lambda x: usual_statistics(x.transpose(0, 1).flatten(1).T[:, :, None, None]),
    squares=lambda x: (
        (x / 255).mean(C),
        ((x / 255).square().mean(C) - (x / 255).mean(C).square()).sqrt(),
    ),
)


@table(**RIGHT_STATISTICS)
def test_statistics_right(row: Answer) -> None:
    assert_right(checks.mean_std(row))


def of(std: Answer) -> Answer:
    """A right mean, and a standard deviation from pixels in 0..1."""
    return lambda images: ((images / 255).mean(C), std(images / 255))


def both(*dim: int) -> Answer:
    return lambda images: ((images / 255).mean(dim), (images / 255).std(dim))


def of_each_image(images: Tensor) -> Any:
    stds = [(image / 255).flatten(1).std(dim=1) for image in images]
    return (images / 255).mean(C), sum(stds) / len(stds)


def running_batches(size: int) -> Answer:
    def answer(images: Tensor) -> Any:
        means, stds = 0.0, 0.0
        batches = images.split(size)
        for batch in batches:
            x = batch.float() / 255
            means, stds = means + x.mean(dim=C), stds + x.std(dim=C)
        return means / len(batches), stds / len(batches)

    return answer


def batch_stds(size: int) -> Answer:
    return of(lambda x: sum(batch.std(C) for batch in x.split(size)) / len(x.split(size)))


def squares_in_uint8(images: Tensor) -> Any:
    first = images.float().mean(dim=C) / 255
    second = (images**2).float().mean(dim=C) / 255**2
    return first, (second - first**2).sqrt()


def squares_in_numpy(images: Tensor) -> Any:
    x = images.numpy()
    first = x.mean(axis=C) / 255
    with np.errstate(invalid="ignore"):
        return first, np.sqrt((x**2).mean(axis=C) / 255**2 - first**2)


def mixed(images: Tensor) -> Any:
    x = images.reshape(images.shape[1], -1) / 255
    return x.mean(dim=1), x.std(dim=1)


@table(
    per_image=(of(lambda x: x.std((2, 3)).mean(0)), "mean of those of single images"),
    per_image_loop=(of_each_image, "how the images differ"),
    per_image_numpy=(of(lambda x: x.numpy().std(axis=(2, 3)).mean(axis=0)), "too small"),
    per_image_unscaled=(
        lambda x: (x.float().mean(C), x.float().std((2, 3)).mean(0)),
        "2 things",
    ),
    unscaled=(lambda x: (x.float().mean(C), x.float().std(C)), "from 0 to 255"),
    by_256=(lambda x: ((x / 256).mean(C), (x / 256).std(C)), "divide by 256"),
    whole=(lambda x: usual_statistics(x // 255 * 255), "`//`"),
    std_unscaled=(
        lambda x: (x.float().mean(C) / 255, x.float().std(C)),
        "standard deviation is not",
    ),
    std_twice=(of(lambda x: x.std(C) / 255), "255²"),
    variance=(of(lambda x: x.var(C)), "variance"),
    variance_numpy=(of(lambda x: x.numpy().var(axis=C)), "variance"),
    root=(of(lambda x: x.std(C).sqrt()), "last `sqrt`"),
    swapped=(lambda x: torch.std_mean(x / 255, dim=C), "swapped"),
    swapped_per_image=(
        lambda x: ((x / 255).std((2, 3)).mean(0), (x / 255).mean(C)),
        "2 things",
    ),
    keepdim=(
        lambda x: ((x / 255).mean(C, keepdim=True), (x / 255).std(C, keepdim=True)),
        "`keepdim=True`",
    ),
    column=(lambda x: [y[:, None, None] for y in usual_statistics(x)], "`keepdim=True`"),
    together=(lambda x: ((x / 255).mean(), (x / 255).std()), "all channels together"),
    together_item=(
        lambda x: ((x / 255).mean().item(), (x / 255).std().item()),
        "all channels together",
    ),
    together_unscaled=(lambda x: (x.float().mean(), x.float().std()), "2 things"),
    over_images=(both(0), "each pixel position"),
    within=(both(2, 3), "each image and channel"),
    images=(both(1, 2, 3), "a value for each image."),
    positions=(both(0, 1), "row and column"),
    channels_last=(both(0, 1, 2), "dimensions 2 and 3"),
    per_position=(of(lambda x: x.std(0).mean((1, 2))), "single pixel positions"),
    of_means=(of(lambda x: x.mean((2, 3)).std(0)), "images' means"),
    variance_within=(of(lambda x: x.var((2, 3)).mean(0).sqrt()), "second term of the"),
    variance_within_n=(
        of(lambda x: x.var((2, 3), correction=0).mean(0).sqrt()),
        "within single images",
    ),
    batches_64=(running_batches(64), "average the standard deviations of batches"),
    batches_100=(running_batches(100), "average the standard deviations of batches"),
    batch_stds=(batch_stds(32), "average the standard deviations of batches"),
    first=(lambda x: usual_statistics(x[:1]), "first image only"),
    mixed=(mixed, "mixes all channels"),
    overflow=(squares_in_uint8, "overflow"),
    overflow_numpy=(squares_in_numpy, "overflow"),
    whole_numbers=(lambda x: (x.mean(C) / 255, x.std(C) / 255), "averages no whole numbers"),
    whole_numbers_together=(lambda x: (x.mean() / 255, x.std()), "averages no whole numbers"),
    whole_numbers_std=(lambda x: (0, x.std(dim=C)), "averages no whole numbers"),
    mean_only=(lambda x: (x / 255).mean(C), "the shape [3]"),
    three=(lambda x: (*usual_statistics(x), 1), "3 values"),
    one=(lambda x: (x / 255).mean(), "a Tensor"),
    nothing=(lambda x: (usual_statistics(x)[0], None), "returns nothing"),
    texts=(lambda x: (usual_statistics(x)[0], ["a", "b", "c"]), "the std as a tensor [C]"),
    lists=(lambda x: ([[0.1], [0.2]], [[0.1], [0.2]]), "one number for each channel"),
    in_place=(lambda x: usual_statistics(x.zero_()), "changes its argument `images`"),
)
def test_statistics_wrong(row: tuple[Answer, str]) -> None:
    answer, words = row
    assert_wrong(checks.mean_std(answer), words)


# --- Cached logits --------------------------------------------------------------------------------


def by_loop(logits: Tensor, samples: Tensor, views: Tensor) -> Any:
    rows = []
    for s, v in zip(samples, views, strict=True):
        rows.append(logits[v][s])
    return torch.stack(rows)


def by_gather(table: Tensor, sample: Tensor, view: Tensor) -> Any:
    of_samples = table[:, sample]
    index = view[None, :, None].expand(1, -1, table.shape[2])
    return of_samples.gather(0, index)[0]


RIGHT_LOOK_UPS = dict(
    index=lambda table, sample, view: table[view, sample],
    loop=by_loop,
    gather=by_gather,
    flat=lambda t, s, v: t.flatten(0, 1).index_select(0, v * t.shape[1] + s),
    diagonal=lambda t, s, v: t[v][torch.arange(len(s)), s],
    numpy=lambda t, s, v: t.numpy()[v.numpy(), s.numpy()],
    clone=lambda t, s, v: t[v, s].clone().requires_grad_(),
    float32=lambda t, s, v: t.float()[v.int(), s.int()],
    one_hot=lambda t, s, v: torch.einsum(
        "bv,vnc,bn->bc", torch.eye(len(t))[v], t.float(), torch.eye(t.shape[1])[s]
    ),
)


@table(**RIGHT_LOOK_UPS)
def test_look_up_right(row: Answer) -> None:
    assert_right(checks.cached_logits(row))


def swapped_in_a_loop(table: Tensor, sample: Tensor, view: Tensor) -> Any:
    return torch.stack([table[s][v] for s, v in zip(sample, view, strict=True)])


@table(
    position=(lambda t, s, v: t[v, torch.arange(len(s))], "shuffling misaligns a cache"),
    enumerated=(
        lambda t, s, v: torch.stack([t[v[i], i] for i in range(len(s))]),
        "shuffling misaligns a cache",
    ),
    no_view=(lambda t, s, v: t[0, s], "do not use `view`"),
    no_view_flat=(lambda t, s, v: t[0].index_select(0, s), "do not use `view`"),
    neither=(lambda t, s, v: t[0, : len(s)], "2 things"),
    one_view=(lambda t, s, v: t[v[0], s], "view of the first row"),
    averaged=(lambda t, s, v: t.mean(0)[s], "average over the views"),
    swapped=(lambda t, s, v: t[s, v], "fails with 2 views of 8 images"),
    swapped_numpy=(lambda t, s, v: t.numpy()[s, v], "`view` numbers its first dimension"),
    swapped_loop=(swapped_in_a_loop, "`view` numbers its first dimension"),
    flat=(lambda t, s, v: t.flatten(0, 1)[s * t.shape[0] + v], "stride"),
    reshaped=(lambda t, s, v: t.reshape(-1, t.shape[2])[s * len(t) + v], "stride"),
    outer=(lambda t, s, v: t[v][:, s], "[B, B, C], every view"),
    outer_turned=(lambda t, s, v: t[:, s][v], "[B, B, C], every view"),
    sheets=(lambda t, s, v: t[v], "whole sheet"),
    all_views=(lambda t, s, v: t[:, s], "all views"),
    sorted=(lambda t, s, v: t[v, s.sort().values], "sort the samples"),
    unshuffled=(lambda t, s, v: t[v, s][s.argsort()], "order of the data set"),
    softmax=(lambda t, s, v: t[v, s].softmax(1), "probabilities"),
    classes=(lambda t, s, v: t[v, s].argmax(1), "class for each row"),
    position_softmax=(
        lambda t, s, v: t[v, torch.arange(len(s))].softmax(1),
        "2 things",
    ),
    rows=(lambda t, s, v: [t[i, j] for i, j in zip(v, s, strict=True)], "`torch.stack`"),
    one_row=(lambda t, s, v: t[v[0], s[0]], "the shape [3, 3]; yours has the shape [3]"),
    unknown=(lambda t, s, v: t[v, s] + 1, "Row b holds"),
    in_place=(lambda t, s, v: t.mul_(2)[v, s], "changes its argument `table`"),
)
def test_look_up_wrong(row: tuple[Answer, str]) -> None:
    answer, words = row
    assert_wrong(checks.cached_logits(answer), words)


def test_swapped_indices_are_named_beside_the_error() -> None:
    verdict = checks.cached_logits(lambda table, sample, view: table[sample, view])
    assert_wrong(verdict, "IndexError", "Your code stopped")


# --- All of them ----------------------------------------------------------------------------------


def test_right_with_a_float64_default(float64_default: None) -> None:
    for answer in RIGHT_SHARES.values():
        assert_right(checks.gap_closed(answer))
    for answer in RIGHT_STATISTICS.values():
        assert_right(checks.mean_std(answer))
    assert_right(checks.cached_logits(by_loop))


@EVERY_CHECK
@pytest.mark.parametrize("stub", STUBS)
def test_stubs_are_not_attempted_yet(check: Answer, stub: Any) -> None:
    assert check(stub).status == "not attempted"


@EVERY_CHECK
@table(**ODD_ANSWERS)
def test_no_answer_makes_a_check_raise(check: Answer, row: Any) -> None:
    verdict = check(row)
    assert verdict.status == "wrong"
    assert 10 < len(verdict.message) < 1500
    assert torch.is_grad_enabled()


@EVERY_EXERCISE
def test_reference_and_right_decisions_agree(row: exercise.Exercise) -> None:
    assert row(row.right).status == "right"
    assert row(row.made_of()).status == "right"


@EVERY_EXERCISE
def test_every_mistake_is_wrong_and_gets_its_own_sentence(row: exercise.Exercise) -> None:
    for known in row.known:
        verdict = row(row.made_of(**known.changes))
        assert verdict.status == "wrong", known
        raised = any(
            case.if_it_raises and case.if_it_raises in verdict.message for case in row.cases
        )
        assert known.sentence in verdict.message or raised, verdict
        assert "things to repair" not in verdict.message


@EVERY_EXERCISE
def test_cases_are_the_same_at_every_call(row: exercise.Exercise) -> None:
    for case in row.cases:
        with running.sandbox():
            first, second = case.inputs(), case.inputs()
        for a, b in zip(first.values(), second.values(), strict=True):
            assert torch.equal(torch.as_tensor(a), torch.as_tensor(b))
            assert a is not b or isinstance(a, float)


@EVERY_EXERCISE
def test_sentences_are_short_and_speak_plainly(row: exercise.Exercise) -> None:
    for sentence in [m.sentence for m in row.known] + [row.praise]:
        assert sentence.endswith((".", "`."))
        assert sentence.count("`") % 2 == 0
        assert len(sentence) < 330
