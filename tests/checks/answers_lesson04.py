"""Lesson 04: right answers in several spellings, and mistakes of learners; see `test_answers`."""

import torch

from kdhelpers.models import features


def capture_by_the_package(model, path, images):
    with features.capture(model, path, stop_at_deepest=True) as kept:
        model(images)
    return kept[path]


def capture_that_goes_on_with_the_copy(model, path, images):
    kept = {}
    layer = model.get_submodule(path)
    with layer.register_forward_hook(lambda m, i, o: kept.setdefault("x", o).clone()):
        model(images)
    return kept["x"]


def next_module(model, path):
    names = [name for name, _ in model.named_modules()]
    return model.get_submodule(names[names.index(path) + 1])


def captured(network, images):
    return capture_by_the_package(network, "lower", images)


def hooked(network, images, keep=torch.clone):
    """Features by a hook; the network runs to its end."""
    kept = []
    with network.lower.register_forward_hook(lambda m, i, o: kept.append(keep(o))):
        network(images)
    return kept[0]


ANSWERS = """
# capture_features(model, path, images)
kept = []
layer = model.get_submodule(path)
handle = layer.register_forward_hook(lambda m, i, o: kept.append(o.clone()))
output = model(images)
handle.remove()
return kept[0]

✓ → as it stands
✓ → capture_by_the_package(model, path, images)
✓ → capture_that_goes_on_with_the_copy(model, path, images)
✓ → return kept[0] ⇒ return kept[0].double()
✓ more than once → kept = [] ⇒ kept = []; model(images)
works in place | output.clone() → o.clone() ⇒ o
output of `lower.relu`, whatever → submodule(path) ⇒ submodule("lower.relu")
module after the one → model.get_submodule(path) ⇒ next_module(model, path)
whole block → (path) ⇒ (path.rpartition(".")[0])
whole block → model.get_submodule(path) ⇒ getattr(model, path.split(".")[0])
apply an activation → o.clone() ⇒ F.relu(o)
INTO the layer → o.clone() ⇒ i[0].clone()
what the whole network returns | hook sits on the network → return kept[0] ⇒ return output
your first call again → kept = [] ⇒ kept = answer.__dict__.setdefault("kept", [])
to the layer itself → model(images) ⇒ layer(images)
one after the other | pools →
model(images) ⇒ functools.reduce(lambda x, child: child(x), model.children(), images)
path with dots | get_submodule | in line → model.get_submodule(path) ⇒ getattr(model, path)
path with dots | get_submodule | in line →
model.get_submodule(path) ⇒ dict(model.named_children())[path]
path with dots | get_submodule | in line → model.get_submodule(path) ⇒ model[path]
refuses → o.clone() ⇒ copy.deepcopy(o)
flattened → o.clone() ⇒ o.clone().flatten(1)
averaged over the pixels → o.clone() ⇒ o.mean((2, 3))
call adds one more | remove() → handle.remove() ⇒
hooks that it has not made →
handle.remove() ⇒ [module._forward_hooks.clear() for module in model.modules()]
changes the network → handle.remove() ⇒ ;
handle = layer.register_forward_hook(lambda m, i, o: kept.append(o.clone())) ⇒ old = layer.forward;
layer.forward = lambda x: kept.append(old(x).clone()) or old(x)
changes the network → kept = [] ⇒ kept = []; model.head = nn.Identity()
No gradient can flow → o.clone() ⇒ o.detach().clone()
graph is used up → return kept[0] ⇒ kept[0].square().sum().backward(); return kept[0]
to eval mode | Leave the mode → model(images) ⇒ model.eval()(images)
to eval mode | Leave the mode →
output = model(images) ⇒ mode = model.training; output = model.eval()(images); model.train(mode)
to eval mode | Leave the mode → model(images) ⇒ model.eval()(images); model.train()
not as they were → return kept[0] ⇒ model.requires_grad_(False); return kept[0]
not as they were → return kept[0] ⇒ kept[0].sum().backward(retain_graph=True); return kept[0]
to train mode → model(images) ⇒ model.train()(images)
another mode after → handle.remove() ⇒ handle.remove(); model.eval()
returned a list → return kept[0] ⇒ return kept
returned a tuple → o.clone() ⇒ i
returns nothing → return kept[0] ⇒
at `lower.norm` | features should be → o.clone() ⇒ 3 * o
2 things | in place | call adds one more → o.clone() ⇒ o ; handle.remove() ⇒
2 things | in place | to eval mode → o.clone() ⇒ o ; model(images) ⇒ model.eval()(images)
takes the place of the layer's output →
kept.append(o.clone()) ⇒ kept.append(o.clone()) or o.detach()
a copy of it runs | not: no_grad → kept = [] ⇒ kept = []; model = copy.deepcopy(model)
2 things | apply an activation | takes the place of the layer's output | not: elsewhere →
kept.append(o.clone()) ⇒ kept.append(o.clone().relu()) or kept[0]
its weights or its bias → return kept[0] ⇒ return getattr(layer, "weight", kept[0])
its weights or its bias → return kept[0] ⇒ return model.lower.conv.bias.clone()
return `images` as your function → return kept[0] ⇒ return images
output of `upper.conv`, whatever the path → get_submodule(path) ⇒ get_submodule("upper.conv")
`hook(module, inputs, output)` | takes 2 positional → lambda m, i, o: ⇒ lambda m, o:
kept nothing | removed only after → output = ⇒ handle.remove(); output =
has not run → output = model(images) ⇒

# hint_loss(s, t, r)
difference = (r(s) - t.detach()) ** 2
return difference.mean()

✓ → as it stands
✓ → losses.hint_loss(r(s), t)
✓ → nn.MSELoss()(r(s), t.detach()).reshape(1)
✓ → F.mse_loss(F.conv2d(s, r.weight, r.bias), t.detach())
✓ → F.mse_loss(r(s), t.requires_grad_(False))
✓ → F.mse_loss(r(s).double(), t.detach().double())
gets the teacher's features | are exchanged | turn them into 0 | channels →
F.mse_loss(s, r(t.detach()))
gets the teacher's features → F.mse_loss(r(t), s)
gets the teacher's features → F.mse_loss(r(s), r(t).detach())
other channels | regressor( → F.mse_loss(s, t.detach())
other channels | regressor( → F.mse_loss(t.detach(), s)
other channels | regressor( → (s - t).pow(2).mean()
other channels | regressor( → losses.hint_loss(s, t)
reaches `teacher_features` → F.mse_loss(r(s), t)
Do not detach the student → F.mse_loss(r(s.detach()), t.detach())
neither can learn → F.mse_loss(r(s).detach(), t.detach())
neither can learn → F.mse_loss(r(s), t.detach()).item()
reaches the regressor → r(s) ⇒ r.requires_grad_(False)(s)
is never called | the loss should be → r(s) ⇒ nn.Conv2d(s.shape[1], t.shape[1], 1)(s)
sum over all → .mean() ⇒ .sum()
average over the batch only → .mean() ⇒ .sum((1, 2, 3)).mean()
sum over the channels → .mean() ⇒ .sum(1).mean()
losses of the images → .mean() ⇒ .mean((1, 2, 3)).sum()
each element → .mean() ⇒
one loss for each image → .mean() ⇒ .mean((1, 2, 3))
average the length → .mean() ⇒ .flatten(1).sum(1).sqrt().mean()
L1 → F.l1_loss(r(s), t.detach())
smooth L1 → F.smooth_l1_loss(r(s), t.detach())
cosine distance → (1 - F.cosine_similarity(r(s), t.detach())).mean()
cosine distance → (1 - F.cosine_similarity(r(s).flatten(1), t.detach().flatten(1))).mean()
half of the loss → ** 2 ⇒ ** 2 / 2
opposite sign cancel → ** 2 ⇒ ; .mean() ⇒ .mean() ** 2
square root → .mean() ⇒ .mean().sqrt()
normalise the features → r(s) ⇒ F.normalize(r(s)) ; t.detach() ⇒ F.normalize(t.detach())
normalise the features → r(s) ⇒ F.normalize(r(s).flatten(1)) ;
t.detach() ⇒ F.normalize(t.detach().flatten(1))
pixel by pixel → r(s) ⇒ r(s).mean((2, 3)) ; t.detach() ⇒ t.detach().mean((2, 3))
teacher's features alone → t.detach() ⇒ t.detach().relu()
regressor's output → r(s) ⇒ r(s).relu()
before the activation → r(s) ⇒ r(s.relu())
before the activation → r(s) ⇒ r(s).relu() ; t.detach() ⇒ t.detach().relu()
before the activation → r(s) ⇒ r(s.relu()) ; t.detach() ⇒ t.detach().relu()
returns nothing → return difference.mean() ⇒
the loss should be | It is the mean of → ** 2 ⇒ ** 4
2 things | sum over all elements | half of the loss → ** 2 ⇒ ** 2 / 2 ; .mean() ⇒ .sum()
2 things | sum over all elements | reaches `teacher_features` → .mean() ⇒ .sum() ; t.detach() ⇒ t
not squared | not: root → (r(s) - t.detach()).mean()
minus the right loss → -F.mse_loss(r(s), t.detach())
features are added → (r(s) + t.detach()).square().mean()
KL divergence → F.kl_div(F.log_softmax(r(s), 1), F.softmax(t.detach(), 1))
gets the teacher's features | are exchanged → F.mse_loss(r(t), s.detach())
brackets behind a method → F.mse_loss(r(s), t.detach)

# hint_step(student, teacher, regressor, x, opt)
teacher.eval()
student.train()
with torch.no_grad():
    target = teacher.lower(x)
loss = F.mse_loss(regressor(student.lower(x)), target)
opt.zero_grad()
loss.backward()
opt.step()
return loss.item()

✓ → as it stands
✓ → teacher.eval() ⇒ teacher.lower.eval().requires_grad_(False) ;
student.train() ⇒ student.lower.train() ; with torch.no_grad(): ⇒ if True: ;
opt.zero_grad() ⇒ for p in [*student.parameters(), *regressor.parameters()]: p.grad = None
✓ →
opt.zero_grad() ⇒ opt.zero_grad(); own = [*student.lower.parameters(), *regressor.parameters()] ;
loss.backward() ⇒ for p, slope in zip(own, torch.autograd.grad(loss, own)): p.grad = slope
✓ → teacher.lower(x) ⇒ captured(teacher, x) ; student.lower(x) ⇒ captured(student, x)
✓ outside `torch.no_grad()` → torch.no_grad ⇒ torch.enable_grad ; target) ⇒ target.detach())
✓ to its end → teacher.lower(x) ⇒ hooked(teacher, x) ; student.lower(x) ⇒ hooked(student, x)
more than once → student.train() ⇒ student.train().lower(torch.ones(2, 1, 4, 4).float())
✓ `loss.item()` → loss.item() ⇒ loss
teacher runs in train mode → teacher.eval() ⇒
student runs in eval mode → student.train() ⇒
Gradients reach the teacher → torch.no_grad ⇒ torch.enable_grad
teacher's weights changed → target = ⇒ teacher.upper[1][2].bias += 1e-5; target =
gradients of the step before → opt.zero_grad() ⇒
Only a part of the old → opt.zero_grad() ⇒ student.zero_grad()
Only a part of the old → opt.zero_grad() ⇒ student.lower.zero_grad(); regressor.zero_grad()
weight decay → opt.zero_grad() ⇒ opt.zero_grad(set_to_none=False)
no `loss.backward()` → loss.backward() ⇒
no `optimizer.step()` → opt.step() ⇒
does not learn → opt.zero_grad() ⇒ ; loss.backward() ⇒ ; opt.step() ⇒
comes before `loss.backward()` → opt.zero_grad() ⇒ opt.step(); opt.zero_grad() ; opt.step() ⇒
between backward and step → opt.zero_grad() ⇒ loss.backward() ; loss.backward() ⇒ opt.zero_grad()
regressor does not learn → student.train() ⇒ student.train(); regressor.requires_grad_(False)
`student.lower` does not learn → student.lower(x) ⇒ torch.no_grad()(student.lower)(x)
AFTER the activation | in-place ReLU → .lower(x) ⇒ .lower(x).relu()
AFTER the activation | in-place ReLU → teacher.lower(x) ⇒ hooked(teacher, x, keep=lambda o: o) ;
student.lower(x) ⇒ hooked(student, x, keep=lambda o: o)
regressor gets logits → .lower(x) ⇒ (x)
with the teacher's logits → teacher.lower(x) ⇒ teacher(x)
in-place operation overwrote →
loss = F.mse_loss(regressor(student.lower(x)), target) ⇒ o = student.lower(x);
loss = F.mse_loss(regressor(o), target) + 0 * student.upper(o).sum()
optimiser's settings → loss.backward() ⇒ loss.backward(); opt.param_groups[0]["weight_decay"] = 0
compare the logits → .lower(x) ⇒ (x) ; regressor( ⇒ (
term for the logits | stage 2 → loss = ⇒ loss = F.mse_loss(student(x), teacher(x).detach()) +
term for the logits | stage 2 →
loss = ⇒ loss = losses.kd_loss(student(x), teacher(x).detach(), temperature=4.0) +
A hook stays → student.train() ⇒ student.train().lower.register_forward_hook(lambda *x: None)
no longer takes gradients → student.train() ⇒ student.train(); student.upper.requires_grad_(False)
computed again after `optimizer.step()` →
loss.item() ⇒ F.mse_loss(regressor(student.lower(x)), target).item()
computed again after `optimizer.step()` →
loss.item() ⇒ F.mse_loss(regressor(student.eval().lower(x)), target).item()
Inside the loss | gets the teacher's features → regressor(student.lower(x)) ⇒ student.lower(x) ;
target) ⇒ regressor(target))
other channels → regressor( ⇒ (
sum over all → target) ⇒ target, reduction="sum")
average the loss → target) ⇒ target, reduction="none")
returns nothing → return loss.item() ⇒
returned a tuple → loss.item() ⇒ loss.item(), 1
the loss should be | the exercise before →
F.mse_loss( ⇒ (( ; , target) ⇒ - target) ** 4).mean()
not by the optimiser | not: The loss is right →
opt.step() ⇒ torch.optim.SGD([*student.lower.parameters(), *regressor.parameters()], lr=0.1).step()
2 things | more than once | weights of `student.upper` changed | stage 1 trains →
loss = ⇒ loss = student(x).square().mean() +
2 things | 0 instead of None | logits out of the loss → loss = ⇒ loss = 0 * student(x).sum() +
2 things | teacher runs in train mode | gradients of the step before →
teacher.eval() ⇒ ; opt.zero_grad() ⇒
2 things | teacher runs in train mode | Gradients reach the teacher →
teacher.eval() ⇒ ; torch.no_grad ⇒ torch.enable_grad
old gradients are gone | `teacher.zero_grad()` →
student.train() ⇒ student.train(); teacher.zero_grad()
more than once in train mode → student.train() ⇒ student.train(); student(x)
changed between | clipping | not: zero_grad →
opt.step() ⇒ nn.utils.clip_grad_norm_(student.parameters(), 0.001); opt.step()

"""
