"""Lesson 07: right answers in several spellings, and mistakes of learners; see `test_answers`."""

import torch

from kdhelpers import stats

paired, interval = stats.paired_difference, stats.mean_interval
cross_entropy = torch.nn.functional.cross_entropy


def mean(x):
    return sum(x) / len(x)


def gains(before, after):
    return [b - a for a, b in zip(before, after, strict=True)]


def accuracy(z, y, m, s):
    w = z.clone()
    w[:, m] += s
    return (w.argmax(1) == y).float().mean().item()


def by_loop(z, y, m, shifts):
    best, chosen = -1.0, None
    for s in shifts:
        if accuracy(z, y, m, s) > best:
            best, chosen = accuracy(z, y, m, s), s
    return chosen


def by_climbing(z, y, m, shifts, stop):
    best = shifts[0]
    for s in shifts[1:]:
        if stop(accuracy(z, y, m, best), accuracy(z, y, m, s)):
            break
        if accuracy(z, y, m, s) > accuracy(z, y, m, best):
            best = s
    return best


def by_adding_up(z, y, m, shifts):
    w, right = z.clone(), []
    for s in shifts:
        w[:, m] += s
        right.append((w.argmax(1) == y).float().mean().item())
    return shifts[right.index(max(right))]


ANSWERS = """
# bias_shift(z, y, m, s)
✓ → by_loop(z, y, m, s)
✓ → torch.tensor(by_loop(z, y, m, s))
missing class alone → by_loop(z[y == m], y[y == m], m, s)
missing class alone → max(s)
leave out the images | The shift is subtracted | added to every class →
by_loop(z[y != m], y[y != m], m, s)
may rise again → by_climbing(z, y, m, s, stop=lambda before, now: now < before)
may rise again → by_climbing(z, y, m, s, stop=lambda before, now: now <= before)
you return the last → max(reversed(s), key=lambda each: accuracy(z, y, m, each))
shifts add up → by_adding_up(z, y, m, s)
lowest accuracy → min(s, key=lambda each: accuracy(z, y, m, each))
the position of the best → s.index(by_loop(z, y, m, s))
return the accuracy → max(accuracy(z, y, m, each) for each in s)
9 numbers → torch.tensor(s)
does not change with `logits` → s[1]
column before → by_loop(z, y, m - 1, s)
lowest cross-entropy → min(s, key=lambda each: cross_entropy(z + each * torch.eye(6)[m], y))

# cheapest_set(labelled, sets, margin)
fit = []
for name, each in sets.items():
    seen = each["validation"]
    if paired(labelled, seen).low > -margin:
        fit.append(name)
return min(fit, key=lambda name: sets[name]["cost"], default=None)

✓ → as it stands
however much it loses → if paired(labelled, seen).low > -margin ⇒ if True
not to exclude one → .low > -margin ⇒ .high > 0
not to exclude one → .low > -margin ⇒ .low < 0 < paired(labelled, seen).high
may be right by luck → paired(labelled, seen).low ⇒ mean(seen) - mean(labelled)
by luck → paired(labelled, seen).low > -margin ⇒ abs(mean(seen) - mean(labelled)) < margin
worst that the seeds allow → .low ⇒ .high
no points=True → -margin ⇒ 0
sign of the margin → -margin ⇒ margin
the other way round → labelled, seen ⇒ seen, labelled
of every seed → paired(labelled, seen).low ⇒ min(gains(labelled, seen))
interval is too narrow → .low ⇒ .mean - 1.96 * np.std(gains(labelled, seen), ddof=1) / 5**0.5
seeds are paired → paired(labelled, seen).low > ⇒ interval(seen).low > interval(labelled).high
judge what was decided → "validation" ⇒ "test"
the most accurate | the most expensive | the first →
sets[name]["cost"] ⇒ -mean(sets[name]["validation"])
take none → default=None ⇒ default=min(sets, key=lambda n: sets[n]["cost"])
take none → default=None ⇒ default=list(sets)[0]
fits no mistake | bought, which costs 90 and changes → sets[name]["cost"] ⇒ len(name)
the name of a transfer set → return ⇒ return 3 or
more than a name → return ⇒ return fit or [] or
"""
