"""Lesson 01: right answers in several spellings, and mistakes of learners; see `test_answers`."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from kdhelpers import losses


def by_hand(logits, temperature):
    e = torch.exp(logits / temperature)
    return e / e.sum(dim=1, keepdim=True)


class SoftTargets:
    def __call__(self, scores, tau):
        return nn.Softmax(dim=-1)(scores * (1 / tau))


def in_numpy(logits, temperature):
    z = logits.numpy() / temperature
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def kl(s, t, T):
    return F.kl_div(F.log_softmax(s / T, 1), F.softmax(t / T, 1), reduction="batchmean")


def plain_loss(s, t, y, T, alpha, power=2):
    """Right, but it leaves the teacher's gradient to the caller."""
    return alpha * T**power * kl(s, t, T) + (1 - alpha) * F.cross_entropy(s, y)


def usual_loss(s, t, y, T, alpha):
    return plain_loss(s, t.detach(), y, T, alpha)


def loss_by_hand(z_s, z_t, y, T, alpha):
    batch = z_s.size(0)
    p_s, p_t = by_hand(z_s, T), by_hand(z_t, T).detach()
    soft = sum((p_t[i] * (p_t[i].log() - p_s[i].log())).sum() for i in range(batch)) / batch
    log_p = z_s - z_s.exp().sum(1, keepdim=True).log()
    return alpha * T**2 * soft - (1 - alpha) * log_p[torch.arange(batch), y].mean()


def minus_entropy(s, t, y, temperature, alpha):
    p_t = F.softmax(t.detach() / temperature, dim=1)
    soft = F.cross_entropy(s / temperature, p_t) - torch.special.entr(p_t).sum(1).mean()
    return alpha * temperature**2 * soft + (1 - alpha) * F.nll_loss(F.log_softmax(s, 1), y)


class DistillationLoss(nn.Module):
    def forward(self, s, t, y, tau, a):
        return usual_loss(s, t, y, tau, a).reshape(1)


def of_the_notebook(images):
    """A network that is no argument of the answer."""
    return images.flatten(1)[:, :3]


def terse_step(net, big, x, y, opt, *, temperature, alpha):
    net.train().zero_grad(set_to_none=False)
    with torch.no_grad():
        target = big.train(False)(x)
    value = losses.distillation_loss(net(x), target, y, temperature=temperature, alpha=alpha)
    value.backward()
    opt.step()
    opt.zero_grad()
    return float(value)


def two_backwards_step(student, teacher, x, y, optimizer, T, alpha):
    mode = teacher.training
    targets = teacher.eval().requires_grad_(False)(x)
    teacher.train(mode)
    optimizer.zero_grad()
    logits = student.train()(x)
    soft, hard = alpha * T**2 * kl(logits, targets, T), (1 - alpha) * F.cross_entropy(logits, y)
    soft.backward(retain_graph=True)
    hard.backward()
    optimizer.step()
    return np.float64(soft.item() + hard.item())


def closure_step(student, teacher, x, y, optimizer, T, alpha):
    def closure():
        optimizer.zero_grad()
        with torch.no_grad():
            targets = teacher.eval()(x)
        loss = usual_loss(student.train()(x), targets, y, T, alpha)
        loss.backward()
        return loss

    return optimizer.step(closure)


ANSWERS = """
# soft_targets
✓ asks for it from scratch → losses.soft_targets
✓ asks for it from scratch → SoftTargets()
✓ asks for it from scratch → functools.partial(lambda z, t, dim: torch.softmax(z / t, dim), dim=1)
✓ → in_numpy
✓ overflow → by_hand
does not change with `temperature` → lambda z, t, T=2: (z / T).softmax(1)
takes (z) | number of arguments | (logits, temperature) → lambda z: z
in the order (logits, temperature) → lambda temperature, logits: logits / temperature

# soft_targets(z, t)
u = z / t - (z / t).amax(dim=1, keepdim=True)
p = u.exp() / u.exp().sum(dim=1, keepdim=True)
return p

✓ → as it stands
✓ asks for it from scratch → F.log_softmax(z / t, 1).exp()
✓ asks for it from scratch → F.softmax(z.double() / t, dim=1)
multiplied → F.softmax(z * t, dim=1)
has no effect | is subtracted from the logits, where it cancels → torch.softmax(z - t, dim=1)
or added to them → (z - t).exp() / z.exp().sum(1, keepdim=True)
2 things | or added to them | do not add up to 1 → (z - t).exp()
nearly right | not: twice → F.softmax(z / t, dim=1).round(decimals=4)
nearly right → F.softmax((z / t).half(), dim=1)
You round → F.softmax(z / t, dim=1).round(decimals=3)
one number is left → (z / t).softmax(1).sum()
Keep the whole row → (z / t).softmax(1).sum(1)
yours is one number. Leave out → (z / t).softmax(1).norm()
temperature² → F.softmax(z / t**2, dim=1)
after the softmax → F.softmax(z, dim=1) / t
`dim=1` → F.softmax(z / t, dim=0)
whole batch → F.softmax((z / t).view(-1), 0).view_as(z)
log-probabilities → F.log_softmax(z / t, dim=1)
sigmoid → torch.sigmoid(z / t)
not yet probabilities → z / t
twice → torch.softmax(torch.softmax(z / t, 1), 1)
do not add up to 1 → torch.exp(z / t)
`keepdim=True` for a sum → (z / t).exp() / (z / t).exp().sum(0)
Keep the dimension → (z / t).exp() / (z / t).exp().sum(1)
2 things → F.softmax(z, dim=0)
`argmax` keeps → F.one_hot((z / t).argmax(dim=1), z.shape[1])
does not change with `temperature` → torch.softmax(z / 4.0, dim=-1)
Your code stopped | Likely cause | import cell → eval("F.softmax(z / t, 1)", {"z": z, "t": t})
Your code stopped | Likely cause | Name it: `temperature=…` → losses.soft_targets(z, t)
NotImplementedError → torch.softmax(z.long(), 1)
returns nothing | return → return p ⇒
changes its argument `logits` → F.softmax(z.div_(t), dim=1)
where it cancels → (z.exp() / t) / (z.exp() / t).sum(1, keepdim=True)
below it they are not → (z / t).exp() / z.exp().sum(1, keepdim=True)
above it they are not → z.exp() / (z / t).exp().sum(1, keepdim=True)
sums to C → .sum(dim=1, keepdim=True) ⇒ .mean(dim=1, keepdim=True)
becomes 1 → .sum(dim=1, keepdim=True) ⇒ .amax(dim=1, keepdim=True)
`exp` is missing → z / z.sum(1, keepdim=True)
has a minus → (-z / t).softmax(1)
base is 2 → 2 ** (z / t) / (2 ** (z / t)).sum(1, keepdim=True)
divides twice → (z / t).softmax(1) / t
rows do not all sum to 1 | not: fits no mistake → .sum( ⇒ .norm(
returns the values and their places | `.values` → (z - z.max(1, keepdim=True)).softmax(1)
place of the largest value → (z / t).softmax(1).argmax(1)
one row of the soft targets → (z[:1] / t).softmax(1)
not: fits no mistake | temperature is 1 your result is right → (z / t**1.5).softmax(1)
root of the temperature → (z / t**0.5).softmax(1)
whole numbers → (z // t).softmax(1)

# distillation_loss(s, t, y, T, a)
u, v = s / T, t.detach() / T
soft = F.kl_div(F.log_softmax(u, 1), F.softmax(v, 1), reduction="batchmean")
hard = F.cross_entropy(s, y)
return a * T**2 * soft + (1 - a) * hard

✓ calls `F.kl_div`, and the exercise asks for it without → as it stands
where its LOG-probabilities belong → F.log_softmax(u ⇒ F.softmax(u
divergence is turned round, KL(student → u, v ⇒ v, u
turned round, and a probability → u, v ⇒ v, u ; F.log_softmax ⇒ F.softmax
logarithm of the teacher's log-probabilities → F.softmax(v ⇒ F.log_softmax(v
inside an `exp` as well → "batchmean" ⇒ "batchmean", log_target=True
student's plain logits → F.log_softmax(u, 1) ⇒ u
teacher's plain logits stand where its prob → F.softmax(v, 1) ⇒ v
softmax twice → F.log_softmax(u, 1) ⇒ u.softmax(1).log_softmax(1)
never reaches 0 → F.kl_div(F.log_softmax(u, 1) ⇒ F.cross_entropy(u ; , reduction="batchmean" ⇒
both directions →
* soft ⇒ * (soft + F.kl_div(F.log_softmax(v, 1), F.softmax(u, 1), reduction="batchmean"))
-log q alone →
F.softmax(v, 1), reduction="batchmean" ⇒ torch.ones_like(v), reduction="batchmean"
factor temperature² is missing → T**2 * ⇒
by its square → T**2 ⇒ T
divided by temperature² → T**2 ⇒ T**-2
whole sum → (1 - a) ⇒ T**2 * (1 - a)
sits on the hard term → T**2 * ⇒ ; (1 - a) ⇒ T**2 * (1 - a)
teacher's logits are not divided → t.detach() / T ⇒ t.detach()
student's logits are not divided → s / T ⇒ s
neither the student's → s / T ⇒ s ; t.detach() / T ⇒ t.detach()
multiplied by the → s / T ⇒ s * T ; t.detach() / T ⇒ t.detach() * T
applied to the hard term → (s, y) ⇒ (s / T, y)
images of the batch → (u, 1) ⇒ (u, 0) ; (v, 1) ⇒ (v, 0)
averaged over the classes, too → batchmean ⇒ mean
grows with the number of images → batchmean ⇒ sum
one loss for each image → "batchmean") ⇒ "none").sum(1)
each image and class → batchmean ⇒ none
hard term is summed → (s, y) ⇒ (s, y, reduction="sum")
arguments of `cross_entropy` are swapped → F.cross_entropy(s, y) ⇒ nn.CrossEntropyLoss()(y, s)
loss of `nn` called like a function → F.cross_entropy(s, y) ⇒ nn.CrossEntropyLoss(s, y)
arguments of `cross_entropy` are swapped → (s, y) ⇒ (y.float(), s)
arguments of `cross_entropy` are swapped → (s, y) ⇒ (F.one_hot(y, s.shape[1]).float(), s)
cross_entropy` contains the softmax already → (s, y) ⇒ (s.softmax(1), y)
probabilities at the temperature → (s, y) ⇒ ((s / T).softmax(1), y)
`nll_loss` wants → F.cross_entropy ⇒ F.nll_loss
compares the teacher with the labels → (s, y) ⇒ (t.detach(), y)
the SOFT term → a * T ⇒ (1 - a) * T ; (1 - a) * hard ⇒ a * hard
Only the soft term → a * T**2 * soft + (1 - a) * hard ⇒ T**2 * soft
Only the soft term → + (1 - a) * hard ⇒
Only the hard → a * T**2 * soft + (1 - a) * hard ⇒ hard
Only the hard → a * T**2 * soft + ⇒
without weights → a * T ⇒ T ; (1 - a) * ⇒
hard term has no → (1 - a) * ⇒
soft term has no weight → a * T ⇒ T
weighted by alpha → (1 - a) ⇒ a
No gradient reaches the student → usual_loss(s, t, y, T, a).item()
No gradient reaches the student → torch.no_grad()(usual_loss)(s, t, y, T, a)
A gradient reaches `teacher_logits` → t.detach() ⇒ t
detached there → (s, y) ⇒ (s, y).item()
does not change with `temperature` → a * losses.kd_loss(s, t) + (1 - a) * F.cross_entropy(s, y)
does not change with `alpha` → losses.distillation_loss(s, t, y, temperature=T)
change with `temperature` or `alpha` → losses.distillation_loss(s, t, y)
2 things | LOG-prob | temperature² is missing → T**2 * ⇒ ; F.log_softmax ⇒ F.softmax
2 things | turned round | temperature² is missing → T**2 * ⇒ ; u, v ⇒ v, u
2 things | averaged over the classes | temperature² is → T**2 * ⇒ ; batchmean ⇒ mean
2 things | teacher's logits are not | temperature² is → T**2 * ⇒ ; t.detach() / T ⇒ t.detach()
2 things | sign of | temperature² is missing → T**2 * soft ⇒ -soft
4 things | LOG-prob | temperature² is | SOFT term | reaches `teacher_logits` →
.detach() ⇒ ; F.log_softmax ⇒ F.softmax ; a * T**2 ⇒ (1 - a) ; (1 - a) * hard ⇒ a * hard
4 things | turned round | temperature² is missing | the SOFT term →
.detach() ⇒ ; u, v ⇒ v, u ; a * T**2 ⇒ (1 - a) ; (1 - a) * hard ⇒ a * hard
`cross_entropy` are swapped | NotImplemented → (s, y) ⇒ (y, s) ; a * T ⇒ (1 - a) * T ;
(1 - a) * hard ⇒ a * hard
`teacher_logits` or `labels` | student_logits = [[ | labels = [ | temperature = 2 | should be →
(s**2).mean() + 10
is negative | p · (log p - log q) | yours is | not: kl_div → -(s**2).sum()
Your code stopped | Likely cause | NumPy cannot follow → s.numpy().sum()
Your code stopped | Likely cause | in-place → u, v = s / T ⇒ s /= T; u, v = s
Your code stopped | Likely cause | The power is `**` → T ^ 2 * kl(s, t, T)
Your code stopped | Likely cause | The power is `**` → T**2 ⇒ (T ^ 2)
Your code stopped | Likely cause | The power is `**` → (s - t) ^ 2
Your code stopped | Likely cause | Name them: `temperature=…, alpha=…` →
losses.distillation_loss(s, t, y, T, a)
Your code stopped | Likely cause | Name it: `temperature=…` → losses.kd_loss(s, t, T)
student is detached in the soft term | not: fits no mistake →
F.log_softmax(u ⇒ F.log_softmax(u.detach()
with the teacher's answer → (s, y) ⇒ (s, t.argmax(1))
hard term is subtracted | not: soft one is → (1 - a) * hard ⇒ (a - 1) * hard
Brackets are missing round `1 - alpha` | not: soft one is → (1 - a) * hard ⇒ 1 - a * hard
that softens nothing | T in place of T² →
return a ⇒ p, q = t.detach().softmax(1) / T, s.softmax(1) / T;
soft = (p * (p / q).log()).sum(1).mean(); return a
probabilities again → F.softmax(v, 1) ⇒ F.softmax(F.softmax(v, 1), 1)
base 2 → a * T**2 ⇒ a * T**2 / np.log(2)
alpha is squared → a * T**2 ⇒ (a * T)**2
half of the loss → return a ⇒ return 0.5 * (a ; * hard ⇒ * hard)

# distillation_loss(s, t, y, T, a)
log_p, log_q = (t.detach() / T).log_softmax(1), (s / T).log_softmax(1)
p, q = log_p.exp(), log_q.exp()
soft = (p * (log_p - log_q)).sum(1).mean()
hard = F.cross_entropy(s, y)
return a * T**2 * soft + (1 - a) * hard

✓ → as it stands
teacher's plain logits stand in the brackets → (log_p - ⇒ (t.detach() / T -
Plain logits are subtracted → log_p - log_q ⇒ (t.detach() - s) / T
nearly right | not: Undo → log_p - log_q ⇒ (p + 1e-6).log() - (q + 1e-6).log()
nearly right → log_p - log_q ⇒ (p + 3e-6).log() - (q + 3e-6).log()
squared difference → p * (log_p - log_q) ⇒ (q - p) ** 2
squared difference → p * (log_p - log_q) ⇒ (log_q - log_p) ** 2
sign of the soft term → log_p - log_q ⇒ log_q - log_p
`log_p.exp()` → p * ( ⇒ log_p * (
and the sign → p * (log_p - log_q) ⇒ log_p * (log_q - log_p)
weighted with the student's probabilities → p * ( ⇒ q * (
weights are missing → p * ( ⇒ (
set brackets → p * (log_p - log_q) ⇒ p * log_p - log_q
`F.log_softmax` for both → log_p - log_q ⇒ p - q
`F.log_softmax` for the → log_p - log_q ⇒ p - log_q
p · log q alone → p * (log_p - log_q) ⇒ p * log_q
instead of the number of images → .sum(1).mean() ⇒ .sum(0).mean()
averaged over the classes. Sum → .sum(1).mean() ⇒ .mean(1)
one number for each class → .sum(1).mean() ⇒ .sum(0)
one number for each class → .sum(1).mean() ⇒ .mean(0)
a loss for each image → .sum(1).mean() ⇒ .sum(1) ; (s, y) ⇒ (s, y, reduction="none")
Your code stopped | Likely cause | inference_mode →
soft = ⇒ p = torch.inference_mode()(p.clone)(); soft =
2 things | student's prob | instead of → p * ( ⇒ q * ( ; .sum(1).mean() ⇒ .sum(0).mean()

# distillation_loss
✓ → minus_entropy
✓ not finite → loss_by_hand
✓ calls `F.kl_div` → losses.distillation_loss
✓ calls `F.kl_div` → DistillationLoss()
✓ calls `F.kl_div` → lambda s, t, y, *, alpha, temperature: usual_loss(s, t, y, temperature, alpha)
✓ calls `F.kl_div` → lambda s, t, y, *, tau, w: usual_loss(s, t, y, tau, w)
✓ calls `F.kl_div` → lambda *arguments: usual_loss(*arguments)
✓ calls `F.kl_div` → lambda s, t, y, *x: usual_loss(s, t, y, *map(torch.tensor, x))
✓ calls `F.kl_div` → lambda s, t, y, T, a: usual_loss(s.double(), t.double(), y, T, a)
not inside a loss → lambda *x: (loss := usual_loss(*x), loss.backward())[0]

# distillation_step(student, teacher, x, y, opt, T, a)
student.train()
teacher.eval()
with torch.no_grad():
    target = teacher(x)
loss = plain_loss(student(x), target, y, T, a)
opt.zero_grad()
loss.backward()
opt.step()
return loss

✓ → as it stands
✓ → target = teacher(x) ⇒ target = teacher(x); student.eval()(x); student.train()
✓ → return loss ⇒ student.eval(); return loss
✓ → opt.zero_grad() ⇒ student.zero_grad(set_to_none=False)
✓ → opt.zero_grad() ⇒ own = [*student.parameters()] ;
loss.backward() ⇒ for p, slope in zip(own, torch.autograd.grad(loss, own)): p.grad = slope
✓ outside `torch.no_grad()` → torch.no_grad ⇒ torch.enable_grad ; plain_loss ⇒ usual_loss
✓ outside `torch.no_grad()` → torch.no_grad ⇒ torch.enable_grad ;
plain_loss ⇒ losses.distillation_loss ; target, y, T, a ⇒ target.detach(), y, temperature=T, alpha=a
leave the minus out → loss.backward() ⇒ (-loss).backward()
✓ more than once in train mode → return loss ⇒ (student(x).argmax(1) == y).sum(); return loss
✓ more than once in train mode →
loss = ⇒ loss = a * T**2 * kl(student(x), target, T) + (1 - a) * ; T, a) ⇒ T, 0)
teacher runs in train mode → teacher.eval() ⇒
student runs in eval mode → student.train() ⇒
Gradients reach the teacher → torch.no_grad ⇒ torch.enable_grad
teacher's weights changed → target = ⇒ teacher[1].weight[0, 0] += 1e-5; target =
gradients of the step before → opt.zero_grad() ⇒
no `loss.backward()` → loss.backward() ⇒
along old gradients → opt.zero_grad() ⇒ ; loss.backward() ⇒
no `optimizer.step()` → opt.step() ⇒
comes before `loss.backward()` → loss.backward() ⇒ opt.step() ; opt.step() ⇒ loss.backward()
comes before `loss.backward()` → opt.zero_grad() ⇒ opt.step(); opt.zero_grad() ; opt.step() ⇒
between backward and step → opt.zero_grad() ⇒ loss.backward() ; loss.backward() ⇒ opt.zero_grad()
does not learn → opt.zero_grad() ⇒ ; loss.backward() ⇒ ; opt.step() ⇒
change with `temperature` → T, a) ⇒ 4.0, a)
change with `alpha` → T, a) ⇒ T, 0.9)
change with `temperature` or `alpha` → T, a) ⇒ 4.0, 0.9)
Inside the loss | temperature² is missing → T, a) ⇒ T, a, power=0)
returns nothing → return loss ⇒
returned a tuple → return loss ⇒ return loss, 1
one number → return loss ⇒ return loss.expand(2)
2 things | teacher runs in train mode | gradients of the step before →
teacher.eval() ⇒ ; opt.zero_grad() ⇒
2 things | teacher runs in train mode | Gradients reach the teacher →
teacher.eval() ⇒ ; torch.no_grad ⇒ torch.enable_grad
in line | backward() | `no_grad` around the loss → plain_loss( ⇒ torch.no_grad()(plain_loss)(
change with `labels` or `temperature` or `alpha` | the loss should be →
plain_loss(student(x), target, y, T, a) ⇒ (student(x) - target).abs().mean()
no gradient goes through → loss.backward() ⇒ loss.item().backward()
runs more than once | weights after the step should be → opt.step() ⇒ opt.step(); opt.step()
the teacher's probabilities → , target, ⇒ , target.softmax(1),
the teacher's probabilities → , target, ⇒ , (target / T).softmax(1),
the student's probabilities → (student(x), ⇒ (student(x).softmax(1),
probabilities of both →
(student(x), target, ⇒ ((student(x) / T).softmax(1), (target / T).softmax(1),
computed again after `optimizer.step()` →
return loss ⇒ return plain_loss(student(x), target, y, T, a).item()
computed again after `optimizer.step()` →
return loss ⇒ return plain_loss(student.eval()(x), target, y, T, a).item()
Your code stopped | Likely cause | Name them: `temperature=…, alpha=…` →
plain_loss ⇒ losses.distillation_loss
Your code stopped | Likely cause | average the loss → plain_loss( ⇒ (lambda s, *x: s)(
old gradients are gone | `teacher.zero_grad()` →
student.train() ⇒ student.train(); teacher.zero_grad()
changed between | clipping | not: `optimizer.zero_grad()` stands →
opt.step() ⇒ nn.utils.clip_grad_norm_(student.parameters(), 0.001); opt.step()
`backward()` runs twice → loss.backward() ⇒ loss.backward(retain_graph=True); loss.backward()
not by the optimiser → opt.step() ⇒ torch.optim.SGD(student.parameters(), lr=0.01).step()
should be one number | return the loss itself → return loss ⇒ return student(x)
inside `torch.no_grad()` | RuntimeError →
plain_loss(student(x), ⇒ plain_loss(torch.no_grad()(student)(x),
Both logits come from the student → , target, ⇒ , student(x).detach(),
change with `teacher`: → target = teacher(x) ⇒ target = of_the_notebook(x)
Your code stopped | Likely cause | one of the notebook's →
target = teacher(x) ⇒ target = nn.Linear(64, 10)(x.flatten(1))
`student` and `teacher` are exchanged →
student.train() ⇒ student, teacher = teacher, student; student.train()
Freeze nothing → return loss ⇒ student.requires_grad_(False); return loss
A hook stays → student.train() ⇒ student.train().register_forward_hook(lambda *x: None)
A hook stays → teacher.eval() ⇒ teacher.eval().register_forward_hook(lambda *x: None)

# distillation_step
✓ → terse_step
✓ → two_backwards_step
✓ → closure_step
"""
