"""Lesson 03: right answers in several spellings, and mistakes of learners; see `test_answers`."""

C = (0, 2, 3)


def mean(x):
    return sum(x) / len(x)


def from_sums(images):
    count = images[:, 0].numel()
    first = sum(batch.double().sum(dim=C) for batch in images.split(64)) / count
    second = sum(batch.double().pow(2).sum(dim=C) for batch in images.split(64)) / count
    return first / 255, (second - first**2).sqrt() / 255


def over_batches(x):
    return mean([batch.mean(C) for batch in x.split(10)])


def from_batches(x):
    return over_batches(x), (over_batches(x**2) - over_batches(x) ** 2).sqrt()


ANSWERS = """
# gap_closed(t, alone, distilled)
a, d = mean(alone), mean(distilled)
return (d - a) / (t - a)

✓ → as it stands
✓ → (torch.tensor(distilled) - torch.tensor(alone)).mean() / (t - torch.tensor(alone)).mean()
✓ → mean( ⇒ statistics.mean( ; (d - a) / (t - a) ⇒ 1 - (t - d) / (t - a)
✓ → sum(y - x for x, y in zip(alone, distilled, strict=True)) / sum(t - x for x in alone)
✓ → (d - a) / (t - a) ⇒ np.float32((d - a) / (t - a))
✓ → (d - a) / (t - a) ⇒ torch.tensor([(d - a) / (t - a)])
sign is turned round → d - a ⇒ a - d
percent → return ⇒ return 100 *
times -100 → return ⇒ return -100 *
divided by the gap → / (t - a) ⇒
2 things | percent → / (t - a) ⇒ * 100
divide by the teacher's accuracy → (t - a) ⇒ t
relative gain → (t - a) ⇒ a
divide by the errors → t - a ⇒ 1 - a
left to the teacher after → t - a ⇒ t - d
1 minus it → d - a ⇒ t - d
distance to the teacher that is left → (d - a) / (t - a) ⇒ t - d
upside down → d - a ⇒ t - a ; t - a ⇒ d - a
distilled student and teacher → (d - a) / (t - a) ⇒ d / t
of the two students → (d - a) / (t - a) ⇒ d / a
Brackets are missing → (d - a) / (t - a) ⇒ d - a / t - a
above the fraction line → (d - a) ⇒ d - a
below the fraction line → (t - a) ⇒ t - a
average the shares of the seeds | divides by almost 0 →
np.mean([(y - x) / (t - x) for x, y in zip(alone, distilled, strict=True)])
best seed of both → mean( ⇒ max(
favours distillation → mean(distilled) ⇒ max(distilled)
best one alone → mean(alone) ⇒ max(alone)
worst seed → mean( ⇒ min(
first seed only → a, d = mean(alone), mean(distilled) ⇒ a, d = alone[0], distilled[0]
last seed only → a, d = mean(alone), mean(distilled) ⇒ a, d = alone[-1], distilled[-1]
medians → mean( ⇒ np.median(
number of seeds → mean( ⇒ sum(
below 1, or both → return (d - a) / (t - a) ⇒ return np.clip((d - a) / (t - a), 0, 1)
below 1, or both → return (d - a) / (t - a) ⇒ return max(0, (d - a) / (t - a))
below 1, or both → return (d - a) / (t - a) ⇒ return min(1, (d - a) / (t - a))
absolute value → return (d - a) / (t - a) ⇒ return abs((d - a) / (t - a))
no method `mean` → (distilled.mean() - alone.mean()) / (t - alone.mean())
Lists cannot be subtracted → mean(distilled - alone) / (t - mean(alone))
Lists cannot be subtracted → mean(t - alone)
returned a list → [1.0, 2.0]
returned 2 numbers; it should return one share →
(np.array(distilled) - np.array(alone)) / (t - np.array(alone))
alone = [0.7, 0.8] | distilled = [0.82, 0.84] | 0.53333 | 0.78333 → return ⇒ return 0.25 +
`alone` and `distilled` are exchanged → (d - a) / (t - a) ⇒ (a - d) / (t - d)
down to whole numbers → (d - a) / (t - a) ⇒ (d - a) // (t - a)
round the share → (d - a) / (t - a) ⇒ round((d - a) / (t - a), 2)
fixed number of seeds →
a, d = mean(alone), mean(distilled) ⇒ a, d = sum(alone) / 3, sum(distilled) / 3
the gap itself → (d - a) / (t - a) ⇒ t - a
changes its argument `alone` | sorted(x) → return ⇒ alone.sort(); return
change with `alone` | not: fits no mistake → (d - a) / (t - a) ⇒ (t - d) / t

# mean_std(images)
x = images.float() / 255
return x.mean(C), x.std(C)

✓ → as it stands
✓ → torch.std_mean(images / 255, dim=C)[::-1]
✓ → x.std(C) ⇒ x.std(C, correction=0)
sum overflows → x.mean(C) ⇒ images.sum(C, dtype=torch.uint8) / images[:, 0].numel() / 255
deviations of batches → x.std(C) ⇒ torch.stack([b.std(C) for b in x.split(2)]).mean(0)
✓ → (images.numpy().mean(axis=C) / 255, images.numpy().std(axis=C) / 255)
✓ → from_sums(images)
✓ →
x.mean(C), x.std(C) ⇒ [float(y.mean()) for y in x.unbind(1)], [y.numpy().std() for y in x.unbind(1)]
✓ → x = images.float() / 255 ⇒ x = images.movedim(1, -1).reshape(-1, images.shape[1]) / 255 ;
(C), x.std(C) ⇒ (0), x.std(0, correction=0)
✓ → return x.mean(C), x.std(C) ⇒ return torch.stack([x.mean(C), x.std(C)])
✓ → return x.mean(C), x.std(C) ⇒ return np.stack([x.mean(C), x.std(C)])
✓ → x = images. ⇒ x = images.transpose(0, 1).flatten(1).T[:, :, None, None].
✓ → x.std(C) ⇒ (x.square().mean(C) - x.mean(C).square()).sqrt()
mean of those of single images | how the images differ | too small →
x.std(C) ⇒ x.std((2, 3)).mean(0)
mean of those of single images | how the images differ | too small →
x.std(C) ⇒ x.numpy().std(axis=(2, 3)).mean(axis=0)
2 things | mean of those of single images | from 0 to 255 → / 255 ⇒ ;
x.std(C) ⇒ x.std((2, 3)).mean(0)
from 0 to 255 → / 255 ⇒
divide by 256 → / 255 ⇒ / 256
`//` → / 255 ⇒ // 255
standard deviation is not → x.std(C) ⇒ images.float().std(C)
255² → x.std(C) ⇒ x.std(C) / 255
square of the right std → x.std(C) ⇒ x.var(C)
square root of the right std → x.std(C) ⇒ x.std(C).sqrt()
swapped → torch.std_mean(images / 255, dim=C)
2 things | swapped → x.mean(C), x.std(C) ⇒ x.std((2, 3)).mean(0), x.mean(C)
`keepdim=True` → (C) ⇒ (C, keepdim=True)
all channels together → (C) ⇒ ()
2 things | all channels together → (C) ⇒ () ; / 255 ⇒
each place of the image → (C) ⇒ (0)
each image and channel → (C) ⇒ ((2, 3))
one for each image. → (C) ⇒ ((1, 2, 3))
row and column → (C) ⇒ ((0, 1))
one for each column → (C) ⇒ ((0, 1, 2))
single pixel positions → x.std(C) ⇒ x.std(0).mean((1, 2))
images' means → x.std(C) ⇒ x.mean((2, 3)).std(0)
within single images | second term of the → x.std(C) ⇒ x.var((2, 3)).mean(0).sqrt()
average the standard deviations of batches →
x.mean(C), x.std(C) ⇒ mean([y.mean(C) for y in x.split(64)]), mean([y.std(C) for y in x.split(64)])
average the standard deviations of batches →
x.mean(C) ⇒ mean([y.mean(C) for y in x.split(100)]) ;
x.std(C) ⇒ mean([y.std(C) for y in x.split(100)])
average the standard deviations of batches → x.std(C) ⇒ mean([y.std(C) for y in x.split(32)])
as if all were of one size → x.mean(C) ⇒ over_batches(x)
as if all were of one size → x.mean(C), x.std(C) ⇒ from_batches(x)
first images only → x = images. ⇒ x = images[:1].
mixes all channels → (C) ⇒ (1) ; x = images. ⇒ x = images.reshape(images.shape[1], -1).
overflow → x.std(C) ⇒ ((images**2).float().mean(C) / 255**2 - x.mean(C) ** 2).sqrt()
averages no whole numbers → (images.mean(C) / 255, images.std(C) / 255)
averages no whole numbers → (0, images.std(dim=C))
the shape [3] → , x.std(C) ⇒
3 values → x.std(C) ⇒ x.std(C), 1
a Tensor → (images / 255).mean()
returns nothing → x.std(C) ⇒ None
the std as a tensor [C] → x.std(C) ⇒ ["a", "b", "c"]
one number for each channel → ([[0.1], [0.2]], [[0.1], [0.2]])
changes its argument `images` → images.float() ⇒ images.zero_()
fails with one | images.shape[1] → (means := [(images[:, c] / 255).mean() for c in range(3)], means)
in-place operation on whole numbers → x = images. ⇒ images /= 255; x = images.
square of the mean → x.std(C) ⇒ x.square().mean(C).sqrt()
brightest pixel → / 255 ⇒ / images.max()
from -1 to 1 → / 255 ⇒ / 127.5 - 1
change with `images` → ([0.5] * images.shape[1], [0.25] * images.shape[1])
first images only → x = images. ⇒ x = images[:32].

# cached_logits(t, s, v)
✓ → t[v, s]
✓ → t.numpy()[v.numpy(), s.numpy()]
✓ → t[v, s].clone().requires_grad_()
✓ → t.float()[v.int(), s.int()]
exchanged, and wrapped → t[s % len(t), v]
You sort the views → t[v.sort().values, s]
below the size of the batch → t[v, s.clamp(max=len(s) - 1)]
reverse order → t[v, s].flip(0)
shuffling misaligns a cache → t[v, torch.arange(len(s))]
do not use `view` → t[0, s]
2 things | misaligns | `view` → t[0, : len(s)]
view of the first row → t[v[0], s]
average over the views → t.mean(0)[s]
`sample` and `view` are exchanged | IndexError | stopped → t[s, v]
fails with 2 views of 8 images | `view` numbers its first | IndexError | stopped → t.numpy()[s, v]
stride → t.flatten(0, 1)[s * t.shape[0] + v]
[B, B, C], every view → t[v][:, s]
whole sheet → t[v]
all views → t[:, s]
samples are sorted | `unique` → t[v, s.sort().values]
order of the data set → t[v, s][s.argsort()]
probabilities → t[v, s].softmax(1)
class for each row → t[v, s].argmax(1)
2 things | misaligns | probabilities → t[v, torch.arange(len(s))].softmax(1)
`torch.stack` → [t[i, j] for i, j in zip(v, s, strict=True)]
one row of the logits → t[v[0], s[0]]
Row b holds → t[v, s] + 1
changes its argument `table` → t.mul_(2)[v, s]
`sample` is shifted by one → t[v, s - 1]
`view` is shifted by one → t[v - 1, s]
second pair of brackets | IndexError → t[v.tolist()][s.tolist()]
last view → t[-1, s]
largest logits over the views → t.amax(0)[s]
`argsort` gives places → t[v, s.argsort()]
lacks a stride → t.flatten(0, 1)[v + s]
rows and columns are exchanged → t[v, s].T
nothing but zeros | not: probabilities → torch.zeros(len(s), 3)

"""
