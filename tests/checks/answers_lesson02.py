"""Lesson 02: right answers in several spellings, and mistakes of learners; see `test_answers`."""

import math

import torch
import torch.nn.functional as F


def entropy_by_loop(p):
    return torch.tensor([-sum(q * math.log(q) for q in row if q > 0) for row in p.tolist()])


def top(logits, temperature):
    return F.softmax(logits / temperature, dim=0).max().item()


def grid(logits, target):
    temperatures = torch.logspace(-2, 3, 100_001)
    tops = (logits / temperatures[:, None]).softmax(dim=1).max(dim=1).values
    return temperatures[(tops - target).abs().argmin()]


def gradient_by_autograd(s, t, T):
    s = s.clone().requires_grad_()
    kl = F.kl_div(F.log_softmax(s / T, 1), F.softmax(t / T, 1), reduction="batchmean")
    (T**2 * kl).backward()
    return s.grad


ANSWERS = """
# entropy(p)
✓ → torch.special.entr(p).sum(-1)
✓ → -(p * p.clamp(min=1e-12).log()).sum(dim=1)
✓ → -(p * torch.log(p + 1e-9)).sum(1)
✓ → torch.distributions.Categorical(probs=p).entropy()
✓ → entropy_by_loop(p)
✓ → -(torch.xlogy(p, p) / math.log(2)).sum(1) * math.log(2)
`exp` where the logarithm → -(p * p.exp()).sum(1)
bits → -(p * p.clamp(min=1e-20).log2()).sum(1)
log C minus the entropy → math.log(p.shape[1]) - torch.special.entr(p).sum(1)
2 things | bits → -(p * p.log2()).sum(1)
base 10 → -(p * p.clamp(min=1e-20).log10()).sum(1)
sign → torch.xlogy(p, p).sum(1)
gives nan → -(p * p.log()).sum(1)
log p alone → -p.log().sum(1)
up over the batch → torch.special.entr(p).sum()
average the entropy over the batch → torch.special.entr(p).sum(1).mean()
`dim=0` → torch.special.entr(p).sum(dim=0)
average over the classes → torch.special.entr(p).mean(1)
2 things | over the classes | over the batch → torch.special.entr(p).mean()
another shape | `keepdim=True` → torch.special.entr(p).sum(1, keepdim=True)
for each class → torch.special.entr(p)
probabilities already → torch.special.entr(p.softmax(1)).sum(1)
exponential of the right entropy → torch.special.entr(p).sum(1).exp()
log C → torch.special.entr(p).sum(1) / math.log(p.shape[1])
2 things | sign → (p * p.log()).sum(1)
normalises them → -(p * p.log_softmax(1)).sum(1)
log(1 + p) → -(p * p.log1p()).sum(1)
log p alone → -p.clamp(min=1e-12).log().sum(1)
weighted with p² → torch.special.entr(p).mul(p).sum(1)
Σ p² → 1 - (p**2).sum(1)
1 - p is added → (torch.special.entr(p) + torch.special.entr(1 - p)).sum(1)
largest probability alone → torch.special.entr(p.amax(1))
nearly right | not: nan → -(p * (p + 3e-5).log()).sum(1)
not: gives nan → torch.where(p > 0, -p * p.clamp(min=1e-12).log(), 1.0).sum(1)
add inside the logarithm → -(p * (p + 0.01).log()).sum(1)
`clamp` has so large a bound → -(p.clamp(min=0.01) * p.clamp(min=0.01).log()).sum(1)
replaced after the sum → -(p * p.log()).sum(1).nan_to_num()
logarithm of 0 → torch.tensor([-sum(q * math.log(q) for q in r) for r in p.tolist()])

# temperature_for_confidence(logits, target)
low, high = 0.01, 1000.0
for _ in range(60):
    middle = (low + high) / 2
    low, high = (low, middle) if top(logits, middle) < target else (middle, high)
return high

✓ → as it stands
✓ → return high ⇒ return high if target > 1 / len(logits) else 1000
✓ → 0.01, 1000.0 ⇒ torch.tensor(0.01), torch.tensor(1000.0) ;
for _ in range(60): ⇒ while high - low > 1e-5 * high:
✓ → grid(logits, target)
✓ → return high ⇒ return np.float32(high)
✓ → return high ⇒ return torch.tensor([high])
1/T → return high ⇒ return 1 / high
without a softmax over all → top(logits, middle) ⇒ logits.max() / middle
among the logarithms of T → 0.01, 1000.0 ⇒ math.log(0.01), math.log(1000.0)
FALLS as T rises → < target ⇒ >= target
cannot be reached → low, high = 0 ⇒ assert target > 1 / len(logits); low, high = 0
cannot be reached | did not finish | `while` loop → 1000.0 ⇒ 1000.0; middle = 1.0 ;
for _ in range(60): ⇒ while abs(top(logits, middle) - target) > 5e-4:
Your code stopped → float("no")
Your code stopped | Likely cause | both sides →
low, high = 0 ⇒ raise ValueError("f(a) and f(b) must have different signs"); low, high = 0
lower end → return high ⇒ return high if target > 1 / len(logits) else 0.01
T² → return high ⇒ return high**2
logarithm → return high ⇒ return math.log(high)
-T → return high ⇒ return -high
at T = 1.5 → 1.5
at T = 0 → 0
at T = nan → math.nan
too few times | not: fits no mistake → range(60) ⇒ range(8)
not exact enough → return high ⇒ return 3 * high
3 numbers → logits
returned a str → "hot"
cannot be reached | stopped → return high ⇒ return high if target > 1 / len(logits) else math.log(0)
cannot be reached | returns nothing →
return high ⇒ return high if target > 1 / len(logits) else None
ends at 100, → 1000.0 ⇒ 100.0
begins at 1, → 0.01 ⇒ 1.0
top soft target that was reached | not: times → return high ⇒ return top(logits, high)
the first class → top(logits, middle) ⇒ (logits / middle).softmax(0)[0]
smallest soft target → top(logits, middle) ⇒ (logits / middle).softmax(0).min()
multiplied by T | Only one end → top(logits, middle) ⇒ top(logits, 1 / middle)
Log-probabilities are compared → top(logits, middle) ⇒ math.log(top(logits, middle))
`argmax` → top(logits, middle) ⇒ logits.argmax()
every comparison says the same → top(logits, middle) ⇒ top(logits, 1)
whole numbers → (low + high) / 2 ⇒ (low + high) // 2
not computed anew → range(60) ⇒ range(1)
DIFFERENCE → (low + high) / 2 ⇒ (high - low) / 2
formula for two classes →
(logits.max() - logits.sort().values[-2]) / math.log(target / (1 - target) + 1e-9)

# gradient_ratio(s, t, T)
gap = F.softmax(s / T, dim=1) - F.softmax(t / T, dim=1)
return T * gap / len(s)

✓ → as it stands
✓ lets autograd work → gradient_by_autograd(s, t, T)
✓ lets autograd work → torch.func.grad(lambda student: losses.kd_loss(student, t, temperature=T))(s)
T² times too small → T * gap ⇒ gap / T
one by the other → return T * gap / len(s) ⇒ return F.softmax(s / T, 1) / F.softmax(t / T, 1)
chain rule is forgotten → T * gap ⇒ T**2 * gap
factor T is missing → T * gap ⇒ gap
one 1/T too much → T * gap ⇒ gap / T**2
divide by B, the number of rows → / len(s) ⇒
B · C → len(s) ⇒ s.numel()
number of classes → len(s) ⇒ s.shape[1]
taken at T = 1 → s / T ⇒ s ; t / T ⇒ t
images of the batch → dim=1 ⇒ dim=0
2 things → T * gap / len(s) ⇒ -T * gap
large T, (z - v) → (s - t) / s.shape[1] / len(s)
large T, (z - v) → (s - t) / s.shape[1] / T
teacher's softmax is taken at T = 1 → t / T ⇒ t
student's softmax is taken at T = 1 → s / T ⇒ s
multiplied by the temperature → s / T ⇒ s * T ; t / T ⇒ t * T
Log-probabilities → F.softmax( ⇒ F.log_softmax(
summands of the loss →
T * gap ⇒ F.softmax(t / T, 1) * ((t / T).log_softmax(1) - (s / T).log_softmax(1))
absolute value → T * gap ⇒ T * gap.abs()
You return the loss → losses.kd_loss(s, t, temperature=T)
are exchanged | sign is turned round → T * gap ⇒ -T * gap
temperature², → T * gap ⇒ T**3 * gap
one number is left → T * gap / len(s) ⇒ (T * gap / len(s)).sum()
one row is left → T * gap / len(s) ⇒ (T * gap).mean(0)

"""
