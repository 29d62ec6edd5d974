"""Lesson 03: right answers in several spellings, and mistakes of learners."""

import statistics

import numpy as np
import torch
from answers_lesson01 import Table

from kdhelpers import checks

# --- The share of the gap -------------------------------------------------------------------------


def mean(x):
    return sum(x) / len(x)


def share(teacher, alone, distilled):
    return (mean(distilled) - mean(alone)) / (teacher - mean(alone))


def share_in_torch(teacher, alone, distilled):
    a = torch.tensor(alone)
    return (torch.tensor(distilled) - a).mean() / (teacher - a).mean()


def share_of_what_is_left(teacher, alone, distilled):
    a, d = statistics.mean(alone), statistics.mean(distilled)
    return 1 - (teacher - d) / (teacher - a)


def share_pair_by_pair(teacher, alone, distilled):
    gains = [d - a for a, d in zip(alone, distilled, strict=True)]
    return sum(gains) / sum(teacher - a for a in alone)


def share_of(alone=mean, distilled=mean):
    return lambda t, a, d: (distilled(d) - alone(a)) / (t - alone(a))


def of_means(combine):
    return lambda t, a, d: combine(t, mean(a), mean(d))


def of_share(change):
    return lambda t, a, d: change(share(t, a, d))


# --- Mean and standard deviation ------------------------------------------------------------------

C = (0, 2, 3)


def usual_statistics(images):
    x = images.float() / 255
    return x.mean(dim=C), x.std(dim=C)


def from_sums(images):
    count = images[:, 0].numel()
    first = sum(batch.double().sum(dim=C) for batch in images.split(64)) / count
    second = sum(batch.double().pow(2).sum(dim=C) for batch in images.split(64)) / count
    return first / 255, (second - first**2).sqrt() / 255


def by_channel(images):
    channels = [images[:, c].numpy() / 255 for c in range(images.shape[1])]
    return [float(x.mean()) for x in channels], [x.std() for x in channels]


def per_pixel_table(images):
    pixels = images.movedim(1, -1).reshape(-1, images.shape[1]) / 255
    return pixels.mean(0), pixels.std(0, correction=0)


def of(std):
    """A right mean, and a standard deviation from pixels in 0..1."""
    return lambda images: ((images / 255).mean(C), std(images / 255))


def both(*dim):
    return lambda images: ((images / 255).mean(dim), (images / 255).std(dim))


def from_scaled(change):
    """Statistics of pixels that are `change`d instead of divided by 255."""
    return lambda images: (change(images).mean(C), change(images).std(C))


def of_each_image(images):
    stds = [(image / 255).flatten(1).std(dim=1) for image in images]
    return (images / 255).mean(C), sum(stds) / len(stds)


def running_batches(size):
    def answer(images):
        batches = [batch.float() / 255 for batch in images.split(size)]
        return mean([x.mean(dim=C) for x in batches]), mean([x.std(dim=C) for x in batches])

    return answer


def squares_in_uint8(images):
    first = images.float().mean(dim=C) / 255
    second = (images**2).float().mean(dim=C) / 255**2
    return first, (second - first**2).sqrt()


def squares_in_numpy(images):
    x = images.numpy()
    first = x.mean(axis=C) / 255
    with np.errstate(invalid="ignore"):
        return first, np.sqrt((x**2).mean(axis=C) / 255**2 - first**2)


def mixed(images):
    x = images.reshape(images.shape[1], -1) / 255
    return x.mean(dim=1), x.std(dim=1)


# --- Cached logits --------------------------------------------------------------------------------


def by_loop(logits, samples, views):
    return torch.stack([logits[v][s] for s, v in zip(samples, views, strict=True)])


def by_gather(table, sample, view):
    index = view[None, :, None].expand(1, -1, table.shape[2])
    return table[:, sample].gather(0, index)[0]


def swapped_in_a_loop(table, sample, view):
    return torch.stack([table[s][v] for s, v in zip(sample, view, strict=True)])


RIGHT: Table = {
    checks.gap_closed: {
        "": [
            share,
            lambda t, a, d: (np.mean(d) - np.mean(a)) / (t - np.mean(a)),
            share_in_torch,
            share_of_what_is_left,
            share_pair_by_pair,
            lambda t, a, d: np.float32(share(t, a, d)),
            lambda t, a, d: torch.tensor([share(t, a, d)]),
        ],
    },
    checks.mean_std: {
        "": [
            usual_statistics,
            lambda images: torch.std_mean(images / 255, dim=C)[::-1],
            lambda images: ((images / 255).mean(C), (images / 255).std(C, correction=0)),
            lambda x: (x.numpy().mean(axis=C) / 255, x.numpy().std(axis=C) / 255),
            from_sums,
            by_channel,
            per_pixel_table,
            lambda images: torch.stack(usual_statistics(images)),
            lambda images: np.stack(usual_statistics(images)),
            lambda images: list(usual_statistics(images)),
            lambda x: usual_statistics(x.transpose(0, 1).flatten(1).T[:, :, None, None]),
            of(lambda x: (x.square().mean(C) - x.mean(C).square()).sqrt()),
        ],
    },
    checks.cached_logits: {
        "": [
            lambda table, sample, view: table[view, sample],
            by_loop,
            by_gather,
            lambda t, s, v: t.flatten(0, 1).index_select(0, v * t.shape[1] + s),
            lambda t, s, v: t[v][torch.arange(len(s)), s],
            lambda t, s, v: t.numpy()[v.numpy(), s.numpy()],
            lambda t, s, v: t[v, s].clone().requires_grad_(),
            lambda t, s, v: t.float()[v.int(), s.int()],
            lambda t, s, v: torch.einsum(
                "bv,vnc,bn->bc",
                torch.eye(len(t))[v],
                t.to(torch.get_default_dtype()),
                torch.eye(t.shape[1])[s],
            ),
        ],
    },
}

WRONG: Table = {
    checks.gap_closed: {
        "sign is turned round": [
            of_means(lambda t, a, d: (a - d) / (t - a)),
            of_means(lambda t, a, d: (d - a) / (a - t)),
        ],
        "percent": of_share(lambda x: 100 * x),
        "2 things | percent | sign": of_share(lambda x: -100 * x),
        "divided by the gap": of_means(lambda t, a, d: d - a),
        "2 things | percent": of_means(lambda t, a, d: 100 * (d - a)),
        "divide by the teacher's accuracy": of_means(lambda t, a, d: (d - a) / t),
        "relative gain": [
            of_means(lambda t, a, d: (d - a) / a),
            of_means(lambda t, a, d: d / a - 1),
        ],
        "divide by the errors": of_means(lambda t, a, d: (d - a) / (1 - a)),
        "left to the teacher after": of_means(lambda t, a, d: (d - a) / (t - d)),
        "1 minus it": [of_means(lambda t, a, d: (t - d) / (t - a)), of_share(lambda x: 1 - x)],
        "distance to the teacher that is left": of_means(lambda t, a, d: t - d),
        "upside down": of_share(lambda x: 1 / x),
        "distilled student and teacher": of_means(lambda t, a, d: d / t),
        "of the two students": of_means(lambda t, a, d: d / a),
        "Brackets are missing": of_means(lambda t, a, d: d - a / t - a),
        "above the fraction line": of_means(lambda t, a, d: d - a / (t - a)),
        "below the fraction line": of_means(lambda t, a, d: (d - a) / t - a),
        "average the shares of the seeds | divides by almost 0": [
            lambda t, a, d: np.mean([(y - x) / (t - x) for x, y in zip(a, d, strict=True)]),
            lambda t, a, d: ((np.array(d) - np.array(a)) / (t - np.array(a))).mean(),
        ],
        "best seed of both": share_of(max, max),
        "favours distillation": share_of(distilled=max),
        "best one alone": share_of(alone=max),
        "worst seed": share_of(min, min),
        "first seed only": share_of(lambda x: x[0], lambda x: x[0]),
        "last seed only": share_of(lambda x: x[-1], lambda x: x[-1]),
        "medians": share_of(np.median, np.median),
        "number of seeds": share_of(sum, sum),
        "between 0 and 1": of_share(lambda x: np.clip(x, 0, 1)),
        "off at 0": of_share(lambda x: max(0, x)),
        "off at 1": of_share(lambda x: min(1, x)),
        "absolute value": of_share(abs),
        "no method `mean`": lambda t, a, d: (d.mean() - a.mean()) / (t - a.mean()),
        "Lists cannot be subtracted": [
            lambda t, a, d: mean(d - a) / (t - mean(a)),
            lambda t, a, d: mean(t - a),
        ],
        "returned a list": lambda t, a, d: [1.0, 2.0],
        "returned 2 numbers; it should return one share": lambda t, a, d: (
            (np.array(d) - np.array(a)) / (t - np.array(a))
        ),
        "alone = [0.7, 0.8] | distilled = [0.82, 0.84] | 0.53333 | 0.78333": of_share(
            lambda x: x + 0.25
        ),
    },
    checks.mean_std: {
        "mean of those of single images | how the images differ | too small": [
            of(lambda x: x.std((2, 3)).mean(0)),
            of_each_image,
            of(lambda x: x.numpy().std(axis=(2, 3)).mean(axis=0)),
        ],
        "2 things | mean of those of single images | from 0 to 255": lambda x: (
            x.float().mean(C),
            x.float().std((2, 3)).mean(0),
        ),
        "from 0 to 255": from_scaled(torch.Tensor.float),
        "divide by 256": from_scaled(lambda x: x / 256),
        "`//`": from_scaled(lambda x: (x // 255).float()),
        "standard deviation is not": lambda x: (x.float().mean(C) / 255, x.float().std(C)),
        "255²": of(lambda x: x.std(C) / 255),
        "variance": [of(lambda x: x.var(C)), of(lambda x: x.numpy().var(axis=C))],
        "last `sqrt`": of(lambda x: x.std(C).sqrt()),
        "swapped": lambda x: torch.std_mean(x / 255, dim=C),
        "2 things | swapped": lambda x: ((x / 255).std((2, 3)).mean(0), (x / 255).mean(C)),
        "`keepdim=True`": [
            lambda x: ((x / 255).mean(C, keepdim=True), (x / 255).std(C, keepdim=True)),
            lambda x: [y[:, None, None] for y in usual_statistics(x)],
        ],
        "all channels together": [
            lambda x: ((x / 255).mean(), (x / 255).std()),
            lambda x: ((x / 255).mean().item(), (x / 255).std().item()),
        ],
        "2 things | all channels together": lambda x: (x.float().mean(), x.float().std()),
        "each pixel position": both(0),
        "each image and channel": both(2, 3),
        "a value for each image.": both(1, 2, 3),
        "row and column": both(0, 1),
        "dimensions 2 and 3": both(0, 1, 2),
        "single pixel positions": of(lambda x: x.std(0).mean((1, 2))),
        "images' means": of(lambda x: x.mean((2, 3)).std(0)),
        "within single images | second term of the": [
            of(lambda x: x.var((2, 3)).mean(0).sqrt()),
            of(lambda x: x.var((2, 3), correction=0).mean(0).sqrt()),
        ],
        "average the standard deviations of batches": [
            running_batches(64),
            running_batches(100),
            of(lambda x: mean([batch.std(C) for batch in x.split(32)])),
        ],
        "first image only": lambda x: usual_statistics(x[:1]),
        "mixes all channels": mixed,
        "overflow": [squares_in_uint8, squares_in_numpy],
        "averages no whole numbers": [
            lambda x: (x.mean(C) / 255, x.std(C) / 255),
            lambda x: (x.mean() / 255, x.std()),
            lambda x: (0, x.std(dim=C)),
        ],
        "the shape [3]": lambda x: (x / 255).mean(C),
        "3 values": lambda x: (*usual_statistics(x), 1),
        "a Tensor": lambda x: (x / 255).mean(),
        "returns nothing": lambda x: (usual_statistics(x)[0], None),
        "the std as a tensor [C]": lambda x: (usual_statistics(x)[0], ["a", "b", "c"]),
        "one number for each channel": lambda x: ([[0.1], [0.2]], [[0.1], [0.2]]),
        "changes its argument `images`": lambda x: usual_statistics(x.zero_()),
    },
    checks.cached_logits: {
        "shuffling misaligns a cache": [
            lambda t, s, v: t[v, torch.arange(len(s))],
            lambda t, s, v: torch.stack([t[v[i], i] for i in range(len(s))]),
        ],
        "do not use `view`": [lambda t, s, v: t[0, s], lambda t, s, v: t[0].index_select(0, s)],
        "2 things | misaligns | `view`": lambda t, s, v: t[0, : len(s)],
        "view of the first row": lambda t, s, v: t[v[0], s],
        "average over the views": lambda t, s, v: t.mean(0)[s],
        "fails with 2 views of 8 images | `view` numbers its first | IndexError | stopped": [
            lambda t, s, v: t[s, v],
            lambda t, s, v: t.numpy()[s, v],
            swapped_in_a_loop,
        ],
        "stride": [
            lambda t, s, v: t.flatten(0, 1)[s * t.shape[0] + v],
            lambda t, s, v: t.reshape(-1, t.shape[2])[s * len(t) + v],
        ],
        "[B, B, C], every view": [lambda t, s, v: t[v][:, s], lambda t, s, v: t[:, s][v]],
        "whole sheet": lambda t, s, v: t[v],
        "all views": lambda t, s, v: t[:, s],
        "sort the samples": lambda t, s, v: t[v, s.sort().values],
        "order of the data set": lambda t, s, v: t[v, s][s.argsort()],
        "probabilities": lambda t, s, v: t[v, s].softmax(1),
        "class for each row": lambda t, s, v: t[v, s].argmax(1),
        "2 things | misaligns | probabilities": lambda t, s, v: t[v, torch.arange(len(s))].softmax(
            1
        ),
        "`torch.stack`": lambda t, s, v: [t[i, j] for i, j in zip(v, s, strict=True)],
        "the shape [3, 3]; yours has the shape [3]": lambda t, s, v: t[v[0], s[0]],
        "Row b holds": lambda t, s, v: t[v, s] + 1,
        "changes its argument `table`": lambda t, s, v: t.mul_(2)[v, s],
    },
}
