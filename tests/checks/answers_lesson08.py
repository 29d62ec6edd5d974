"""Lesson 08: parity, scale and zero point, the normalisation in the graph, what to ship."""

from torch import Tensor


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def early(times: list[float], limit: float) -> bool:
    return sum(t <= limit for t in times) >= 0.95 * len(times)


def by_loop(reference: Tensor, exported: Tensor) -> tuple[float, float]:
    pairs = list(zip(reference, exported, strict=True))
    same = sum(int(r.argmax() == e.argmax()) for r, e in pairs)
    off = max(abs(a - b) for r, e in pairs for a, b in zip(r.tolist(), e.tolist(), strict=True))
    return same / len(reference), off / max(map(abs, reference.flatten().tolist()))


ANSWERS = """
# parity(r, e)
same = (r.argmax(1) == e.argmax(1)).float().mean()
off = (r - e).abs().max() / r.abs().max()
return same, off
✓ → as it stands
✓ → same, off ⇒ [same.item(), off.double()]
✓ → by_loop(r, e)
✓ → (r - e).abs().max() / r.abs().max() ⇒ float(np.abs(r - e).max() / np.abs(r).max())
largest difference itself → / r.abs().max() ⇒
True and False have no mean → .float().mean() ⇒ .mean()
subtract the absolute values → (r - e).abs() ⇒ (r.abs() - e.abs()).abs()
largest absolute logit is → r.argmax(1) == e.argmax(1) ⇒ r.abs().argmax(1) == e.abs().argmax(1)
each difference by its own logit → (r - e).abs().max() / r.abs().max() ⇒ ((r - e) / r).abs().max()
may be a negative one → / r.abs().max() ⇒ / r.max()
largest logit of the export → / r.abs().max() ⇒ / e.abs().max()
range of the logits → r.abs().max() ⇒ (r.max() - r.min())
subtract first → (r - e).abs().max() ⇒ (r.abs().max() - e.abs().max()).abs()
least likely class → r.argmax(1) == e.argmax(1) ⇒ r.argmin(1) == e.argmin(1)
average the differences → (r - e).abs().max() ⇒ (r - e).abs().mean()
root of the mean square → (r - e).abs().max() ⇒ (r - e).pow(2).mean().sqrt()
without `abs` → (r - e).abs().max() ⇒ (r - e).max()
without `abs` → (r - e).abs().max() ⇒ (e - r).max()
compare probabilities → off = ⇒ r, e = r.softmax(1), e.softmax(1); off =
compare probabilities → off = ⇒ r, e = r.log_softmax(1), e.log_softmax(1); off =
over the images → r.argmax(1) == e.argmax(1) ⇒ r.argmax(0) == e.argmax(0)
without a dimension → r.argmax(1) == e.argmax(1) ⇒ r.argmax() == e.argmax()
in the same order → r.argmax(1) == e.argmax(1) ⇒ r == e
count the images → .float().mean() ⇒ .sum()
answers that differ → r.argmax(1) == e.argmax(1) ⇒ r.argmax(1) != e.argmax(1)
in percent → return same, off ⇒ return 100 * same, off
whether *all* → .float().mean() ⇒ .all()
results are swapped → same, off ⇒ off, same
2 things | without `abs` | count the images → .float().mean() ⇒ .sum() ; (r - e).abs() ⇒ (r - e)
return two numbers → same, off ⇒ off
one number for all images → .float().mean() ⇒

# scale_and_zero_point(v, bits)
low, high = min(v.min().item(), 0.0), max(v.max().item(), 0.0)
scale = (high - low) / (2**bits - 1)
return scale, round(-low / scale)
✓ → min(v.min().item(), 0.0) ⇒ v.clamp(max=0).min() ; round(-low ⇒ torch.round(-low
✓ → round(-low / scale) ⇒ float(np.rint(0 - low / scale))
✓ → return scale, round(-low / scale) ⇒ return torch.tensor([scale, round(-low / scale)])
number of codes → (2**bits - 1) ⇒ 2**bits
whatever the bits → (2**bits - 1) ⇒ 255
not 2 to the power → (2**bits - 1) ⇒ (2 * bits - 1)
no power in Python → (2**bits - 1) ⇒ (2 ^ bits - 1)
no power in Python → (2**bits - 1) ⇒ ((2 ^ bits) - 1)
`bits` alone → (2**bits - 1) ⇒ (bits - 1)
round the scale → return ⇒ scale = max(round(scale), 1); return
outermost values →
min(v.min().item() ⇒ min(v.quantile(0.01).item() ; max(v.max().item() ⇒ max(v.quantile(0.99).item()
from the upper end → round(-low / scale) ⇒ round(high / scale)
does not include 0 →
min(v.min().item(), 0.0) ⇒ v.min().item() ; max(v.max().item(), 0.0) ⇒ v.max().item()
begins above 0 → min(v.min().item(), 0.0) ⇒ v.min().item()
ends below 0 → max(v.max().item(), 0.0) ⇒ v.max().item()
always → min(v.min().item(), 0.0) ⇒ 0.0
wrong sign → round(-low / scale) ⇒ round(low / scale)
round it → round(-low / scale) ⇒ -low / scale
cut the zero point off → round(-low / scale) ⇒ int(-low / scale)
a value, not a code → round(-low / scale) ⇒ -low
multiply by the scale → round(-low / scale) ⇒ round(-low * scale)
as int8 has them → round(-low / scale) ⇒ round(-low / scale) - 2 ** (bits - 1)
symmetric → (high - low) ⇒ 2 * max(-low, high) ; round(-low / scale) ⇒ 2 ** (bits - 1)
symmetric → (high - low) ⇒ max(-low, high) ; (2**bits ⇒ (2**bits / 2 ; round(-low / scale) ⇒ 0
zero point is 0, always → round(-low / scale) ⇒ 0
upside down → (high - low) / (2**bits - 1) ⇒ (2**bits - 1) / (high - low)
divide the largest value alone → (high - low) ⇒ high
add the bounds → (high - low) ⇒ (high + low)
not divided into steps → (high - low) / (2**bits - 1) ⇒ high - low
swapped → scale, round(-low / scale) ⇒ round(-low / scale), scale
2 things | number of codes | round it → (2**bits - 1) ⇒ 2**bits ; round(-low / scale) ⇒ -low / scale
return two numbers → return scale, round(-low / scale) ⇒ return scale

# pixels_to_logits(model, pixels, mean, std)
x = pixels.float() / 255
m, s = mean[:, None, None], std[:, None, None]
return model((x - m) / s)
✓ → as it stands
✓ → return model((x - m) / s) ⇒ return model(x / s - m / s)
still go from 0 to 255 | 255 as well → / 255 ⇒
change with `model`: → return model((x - m) / s) ⇒ return ((x - m) / s).flatten(1)[:, :3]
order of the pictures' channels → x = ⇒ pixels = pixels.flip(1); x =
height and width → x = ⇒ pixels = pixels.mT; x =
or by a root → / s ⇒ / s**0.5
outside of 0 to 1 → ((x - m) / s) ⇒ (((x - m) / s).clamp(0, 1))
deviation of 1 your logits are right → (x - m) / s ⇒ (x - m / 2) / s
divide by 256 → / 255 ⇒ / 256
all pixels but the brightest → pixels.float() / 255 ⇒ (pixels // 255).float()
from −1 to 1 → / 255 ⇒ / 127.5 - 1
brightest pixel that is there → / 255 ⇒ / pixels.max()
normalisation is missing → (x - m) / s ⇒ x
division by `std` is missing → (x - m) / s ⇒ x - m
mean is not subtracted → (x - m) / s ⇒ x / s
before you subtract → (x - m) / s ⇒ x / s - m
multiply by `std` → (x - m) / s ⇒ (x - m) * s
add the mean → (x - m) / s ⇒ (x + m) / s
turned round → (x - m) / s ⇒ (m - x) / s
Brackets are missing → (x - m) / s ⇒ x - m / s
variance → / s ⇒ / s**2
depends on its neighbours →
m, s = mean[:, None, None], std[:, None, None] ⇒ s, m = torch.std_mean(x, (0, 2, 3), keepdim=True)
columns of the picture → mean[:, None, None], std[:, None, None] ⇒ mean, std
One mean for all → mean[:, None, None], std[:, None, None] ⇒ mean.mean(), std.mean()
reverse order → m, s = ⇒ mean, std = mean.flip(0), std.flip(0); m, s =
These are probabilities → return model((x - m) / s) ⇒ return model((x - m) / s).softmax(1)
log-probabilities → return model((x - m) / s) ⇒ return model((x - m) / s).log_softmax(1)
class of each picture → return model((x - m) / s) ⇒ return model((x - m) / s).argmax(1)
2 things | divide by 256 | multiply by `std` → / 255 ⇒ / 256 ; (x - m) / s ⇒ (x - m) * s

# what_to_ship(c, kb, ms)
fitting = {}
for name, x in c.items():
    if x["kilobytes"] <= kb and early(x["milliseconds"], ms):
        fitting[name] = mean(x["validation"])
return max(fitting, key=fitting.get) if fitting else None
✓ → as it stands
test accuracy → x["validation"] ⇒ x["test"]
either limit is enough → <= kb and ⇒ <= kb or
one seed, the best → mean(x ⇒ max(x
worst seed → mean(x ⇒ min(x
median over the seeds → mean(x ⇒ np.median(x
mean time → early(x["milliseconds"], ms) ⇒ mean(x["milliseconds"]) <= ms
mean time and some standard deviations →
early(x["milliseconds"], ms) ⇒ np.mean(x["milliseconds"]) + 2 * np.std(x["milliseconds"]) <= ms
too many calls be late →
early(x["milliseconds"], ms) ⇒ mean([t <= ms for t in x["milliseconds"]]) >= 0.9
too many calls be late →
early(x["milliseconds"], ms) ⇒ mean([t > ms for t in x["milliseconds"]]) <= 0.2
between two calls → early(x["milliseconds"], ms) ⇒ np.percentile(x["milliseconds"], 95) <= ms
different units → x["kilobytes"] <= kb ⇒ x["kilobytes"] / 1000 <= kb
different units → early(x["milliseconds"], ms) ⇒ early(x["milliseconds"], 1000 * ms)
nothing was left to choose from → if fitting else None ⇒
median time → early(x["milliseconds"], ms) ⇒ np.median(x["milliseconds"]) <= ms
every call is in time → early(x["milliseconds"], ms) ⇒ max(x["milliseconds"]) <= ms
quickest call → early(x["milliseconds"], ms) ⇒ min(x["milliseconds"]) <= ms
At least 95 % is enough →
early(x["milliseconds"], ms) ⇒ mean([t <= ms for t in x["milliseconds"]]) > 0.95
exactly as long | exactly as large →
early(x["milliseconds"], ms) ⇒ mean([t < ms for t in x["milliseconds"]]) >= 0.95
does not look at the time → early(x["milliseconds"], ms) ⇒ True
size of the file → x["kilobytes"] <= kb ⇒ True
smallest that fits | quickest that fits | least accurate → mean(x["validation"]) ⇒ -x["kilobytes"]
the first that fits → mean(x["validation"]) ⇒ 0
something all the same →
if fitting else None ⇒ if fitting else max(c, key=lambda name: mean(c[name]["validation"]))
fits no mistake | steady, with 150 kB, 20 of 20 calls in time, and 0.910 →
x["kilobytes"] <= kb ⇒ x["kilobytes"] <= 0.79 * kb
name alone → return max(fitting, key=fitting.get) ⇒ return list(fitting.items())[0]
name of a candidate → return max(fitting, key=fitting.get) ⇒ return "the best"
"""
