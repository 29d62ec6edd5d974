"""Lesson 05: right answers in several spellings, and mistakes of learners; see `test_answers`."""

import functools
import math

from scipy import stats


def decay(epoch, start, floor, factor):
    return max(start * factor**epoch, floor)


def decay_by_loop(epoch, start, floor, factor):
    temperature = start
    for _ in range(epoch):
        temperature = max(temperature * factor, floor)
    return temperature


def decay_by_if(epoch, start, floor, factor):
    temperature = start * math.exp(epoch * math.log(factor))
    if temperature < floor:
        return floor
    return temperature


@functools.cache
def decay_recursively(epoch, start, floor, factor):
    if epoch == 0:
        return start
    return max(decay_recursively(epoch - 1, start, floor, factor) * factor, floor)


def two_intervals(baseline, treatment):
    (low, high), (low2, high2) = (
        stats.t.interval(0.95, len(arm) - 1, arm.mean(), stats.sem(arm))
        for arm in (baseline, treatment)
    )
    return treatment.mean() - baseline.mean(), low2 - high, high2 - low


ANSWERS = """
# exponential_decay(e, s, f, k)
✓ → decay(e, s, f, k)
✓ → decay_by_if(e, s, f, k)
✓ → kd.temperature.ExponentialDecay(start=s, floor=f, factor=k)(e, e + 1)
✓ → torch.tensor(s * k**e).clamp(min=f)
✓ → np.array([max(s * k**e, f)])
Epoch 0 has decayed already → max(s * k ** (e + 1), f)
round the temperature → max(round(s * k**e), f)
or cut it down → max(math.floor(s * k**e), f)
half the epoch → max(s * k ** (e // 2), f)
as if epochs counted from 1 → max(s * k ** (e - 1), f)
0 and 1 are the same → decay_by_loop(max(e - 1, 0), s, f, k)
`epoch` is not used, or → s
decays once → max(s * k, f)
`min` takes the smaller → min(s * k**e, f)
floor is missing → s * k**e
2 things | decayed already | floor is missing → s * k ** (e + 1)
2 things | decayed already | `min` → min(s * k ** (e + 1), f)
floor is added → s * k**e + f
floor in every epoch → f
approaches the floor → f + (s - f) * k**e
bounds `factor**epoch` → s * max(k**e, f)
`factor * epoch` → max(s * k * e, f)
the same amount → max(s - s * (1 - k) * e, f)
loses 1 - factor → max(s - (1 - k) * e, f)
loses `factor` → max(s - k * e, f)
what stays → max(s * (1 - k) ** e, f)
T grows → max(s / k**e, f)
for a rate → max(s * math.exp(-k * e), f)
close for a factor → max(s * math.exp(-(1 - k) * e), f)
covers start as well → max((s * k) ** e, f)
Base and exponent → max(s * e**k, f)
`start` is missing → max(k**e, f)
does not change with `factor` → max(s * 0.95**e, f)
does not change with `floor` → max(s * k**e, 1.0)
round the temperature → round(decay(e, s, f, k))
down to whole numbers → int(decay(e, s, f, k))
epoch = [0, 1, 3, 10] → decay(e, s, f, k) + 0.5
returns nothing → decay(e, s, f, k) if s * k**e > f else None
returned a list → [s, f]
2 numbers → np.array([s, f])
result differs → math.nan
The power is `**` → max(s * k ^ e, f)
change with `start` | not: `floor` → max(10 * k**e, f)
change with `start` or `floor` or `factor` → max(10 * 0.95**e, 1.0)
round the temperature → round(max(s * k**e, f), 1)
share of start that is lost → max(s * (1 - k * e), f)
`epoch` stands in the place → decay(s, e, f, k)
`epoch` stands in the place → decay(f, s, e, k)
`epoch` stands in the place → decay(k, e, s, f)

# exponential_decay(e, s, f, k)
now = answer.__dict__
now["T"] = s if e == 0 else max(now["T"] * k, f)
return now["T"]

a resumed run would get another T | `epoch` alone | not: steps before it is read → as it stands
a resumed run would get another T | `epoch` alone | not: steps before it is read →
s if e == 0 else max(now["T"] * k, f) ⇒ max((last := now.get("T", 8.0)) * k, f) ;
return now["T"] ⇒ return last
a resumed run would get another T | steps before it is read →
s if e == 0 else max(now["T"] * k, f) ⇒ max(now.get("T", 8.0) * k, f)

# exponential_decay
✓ → decay_recursively
✓ → lambda epoch, *, start, floor, factor: decay(epoch, start, floor, factor)

# paired_interval(b, t)
d = t - b
n, mean = len(d), d.mean()
reach = stats.t.ppf(0.975, n - 1) * d.std(ddof=1) / n**0.5
return mean, mean - reach, mean + reach

✓ → as it stands
✓ → (np.mean(t - b), *stats.ttest_rel(t, b).confidence_interval())
✓ → d = t - b ⇒ d = torch.tensor(t) - torch.tensor(b) ; ddof=1 ⇒ ;
return mean, mean - reach, mean + reach ⇒ return torch.stack([mean, mean - reach, mean + reach])
✓ → d = t - b ⇒ d = t.astype(np.float32) - b.astype(np.float32)
✓ → return mean, mean - reach, mean + reach ⇒ return np.array([mean, mean - reach, mean + reach])
✓ → return mean, mean - reach, mean + reach ⇒ return [mean, mean - reach, mean + reach]
✓ → d.std(ddof=1) / n**0.5 ⇒ d.std() / (n - 1) ** 0.5
sign is turned round → t - b ⇒ b - t
2 things | sign | 1.96 → t - b ⇒ b - t ; stats.t.ppf(0.975, n - 1) ⇒ 1.96
relative → t - b ⇒ (t - b) / b
baseline is not used → t - b ⇒ t
as unrelated → (np.mean(t - b), *stats.ttest_ind(t, b, equal_var=True).confidence_interval())
as unrelated → (np.mean(t - b), *stats.ttest_ind(t, b, equal_var=False).confidence_interval())
as unrelated → d.std(ddof=1) ⇒ (b.var(ddof=1) + t.var(ddof=1)) ** 0.5
2 things | as unrelated | 1.96 → stats.t.ppf(0.975, n - 1) ⇒ 1.96 ;
d.std(ddof=1) ⇒ (b.var(ddof=1) + t.var(ddof=1)) ** 0.5
add up the margins → two_intervals(b, t)
that of one row → d.std(ddof=1) ⇒ t.std(ddof=1)
the variance → d.std(ddof=1) ⇒ d.var(ddof=1)
median → d.mean() ⇒ np.median(d)
normal law's 1.96 → stats.t.ppf(0.975, n - 1) ⇒ 1.96
rule of thumb → stats.t.ppf(0.975, n - 1) ⇒ 2
one standard error → stats.t.ppf(0.975, n - 1) ⇒ 1
90 % interval → 0.975 ⇒ 0.95
99 % interval → 0.975 ⇒ 0.995
wants the coverage →
(np.mean(t - b), *stats.t.interval(0.975, len(b) - 1, np.mean(t - b), stats.sem(t - b)))
always that of 10 seeds → stats.t.ppf(0.975, n - 1) ⇒ 2.262
always that of 5 seeds → stats.t.ppf(0.975, n - 1) ⇒ 2.776
n degrees of freedom → n - 1 ⇒ n
2n - 2 degrees → n - 1 ⇒ 2 * n - 2
`std(ddof=1)` → ddof=1 ⇒
2 things | `std(ddof=1)` | 1.96 → ddof=1 ⇒ ; stats.t.ppf(0.975, n - 1) ⇒ 1.96
root of n is missing → / n**0.5 ⇒
2 things | root of n is missing → ddof=1 ⇒ ; / n**0.5 ⇒
3 things → ddof=1 ⇒ ; / n**0.5 ⇒ ; stats.t.ppf(0.975, n - 1) ⇒ 1.96
falls with the root → n**0.5 ⇒ n
root of n - 1 → n**0.5 ⇒ (n - 1) ** 0.5
in percent → t - b ⇒ 100 * (t - b)
return the margin → mean - reach, mean + reach ⇒ reach
relative to the mean → mean - reach, mean + reach ⇒ -reach, reach
mean is missing → return mean, ⇒ return
another order → mean, mean - reach ⇒ mean - reach, mean
another order → mean, mean - reach, mean + reach ⇒ mean - reach, mean + reach, mean
bounds are swapped → mean - reach, mean + reach ⇒ mean + reach, mean - reach
changes its argument `treatment` → d = t - b ⇒ t -= b; d = t
`return mean, low, high`. One of yours → (0.1, (0.1, 0.2))
no number → ("a", "b", "c")
mean alone → np.mean(t - b)
the shape [3]; yours has the shape [4] → mean + reach ⇒ mean + reach, 0.95
baseline = [0.951, 0.962 → stats.t.ppf(0.975, n - 1) ⇒ 3.3
n - 2 degrees of freedom → t.ppf(0.975, n - 1) ⇒ t.ppf(0.975, n - 2)
which gives nan → t.ppf(0.975, n - 1) ⇒ t.ppf(n - 1, 0.975)
sort both rows → d = t - b ⇒ d = np.sort(t) - np.sort(b)
percentiles → (np.mean(t - b), *np.percentile(t - b, (2.5, 97.5)))
halved or doubled → reach = ⇒ reach = 0.5 *
runs of both rows → n, mean = len(d) ⇒ n, mean = 2 * len(d)
absolute differences → d = t - b ⇒ d = abs(t - b)

# paired_interval
✓ → kd.stats.paired_difference

# misleading_plot
✓ → lambda: "FDBA"
✓ → lambda: "a, b, (d) and f."
✓ → lambda: ["f", "a", "d", "B"]
✓ → lambda: {"a", "b", "d", "f"}
✓ → lambda: itertools.cycle("abdf")
✓ → lambda: np.array(["a", "b", "d", "f"])
✓ → lambda: {letter: letter in "abdf" for letter in "abcdefg"}
where the axis begins → lambda: "bdf"
another seed → lambda: "adf"
Count the tries → lambda: "abf"
on which images → lambda: "abd"
(c) is no flaw → lambda: "abcdf"
(e) is no flaw → lambda: "abdef"
(g) is no flaw → lambda: "abdfg"
'h' → lambda: "abdfh"
'i' → lambda: "axis"
of type int → lambda: 3
of type list → lambda: [1, 2]
returned nothing → lambda: set("abdf") and None
"""
