"""Lesson 04: right answers in several spellings, and mistakes of learners."""

import copy
import functools
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from answers_lesson01 import AS_IT_IS, Table, kl
from torch import nn

from kdhelpers import checks
from kdhelpers.losses import features as feature_losses
from kdhelpers.models import features

# --- Capture the features of a layer --------------------------------------------------------------


def capture_of(
    keep=lambda inputs, output: output.clone(),
    *,
    layer_of=nn.Module.get_submodule,
    before=lambda model: None,
    run=lambda model, layer, images: model(images),
    after=lambda model, handle: handle.remove(),
    result=lambda kept, output: kept[0],
    kept=None,
):
    """A function with a hook; a list handed in as `kept` lives on from call to call."""

    def answer(model, path, images):
        collected = [] if kept is None else kept
        layer = layer_of(model, path)
        handle = layer.register_forward_hook(lambda m, i, o: collected.append(keep(i, o)))
        before(model)
        output = run(model, layer, images)
        after(model, handle)
        return result(collected, output)

    return answer


usual_capture = capture_of()


def capture_in_a_with_block(model, path, images):
    kept = []
    layer = dict(model.named_modules())[path]
    with layer.register_forward_hook(lambda m, i, o: kept.append(o + 0), prepend=True):
        model(images)
    return kept.pop()


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


def capture_after_a_look(model, path, images):
    model(images)
    return usual_capture(model, path, images)


def step_by_step(model, path):
    return functools.reduce(getattr, path.split("."), model)


def whole_block(model, path):
    return getattr(model, path.split(".")[0])


def parent(model, path):
    return model.get_submodule(".".join(path.split(".")[:-1]))


def next_module(model, path):
    names = [name for name, _ in model.named_modules()]
    return model.get_submodule(names[names.index(path) + 1])


def relu_for_norm(model, path):
    return model.get_submodule(path.replace("norm", "relu"))


def module_by_module(model, layer, images):
    for _, child in model.named_children():
        images = child(images)


def pre_hook(model, path, images):
    kept = []
    with model.get_submodule(path).register_forward_pre_hook(lambda m, i: kept.append(i[0])):
        model(images)
    return kept[0]


def clear_all(model, handle):
    for module in model.modules():
        module._forward_hooks.clear()


def patched(model, path, images):
    kept, layer = [], model.get_submodule(path)
    old = layer.forward
    layer.forward = lambda x: kept.append(old(x).clone()) or old(x)
    model(images)
    return kept[0]


def beheaded(model, path, images):
    model.head = nn.Identity()
    return usual_capture(model, path, images)


def in_eval_mode_and_back(model, path, images):
    mode = model.training
    kept = usual_capture(model.eval(), path, images)
    model.train(mode)
    return kept


def after_its_own_backward(model, path, images):
    kept = usual_capture(model, path, images)
    kept.square().sum().backward()
    return kept


# --- The hint loss --------------------------------------------------------------------------------


def usual_hint(s, t, regressor):
    return F.mse_loss(regressor(s), t.detach())


def hint_of(difference=lambda s, t: (s - t) ** 2, reduce=torch.mean):
    return lambda s, t, r: reduce(difference(r(s), t.detach()))


def unit(f):
    return F.normalize(f)


def with_its_own_regressor(s, t, regressor):
    return usual_hint(s, t, nn.Conv2d(s.shape[1], t.shape[1], 1))


def with_a_frozen_regressor(s, t, regressor):
    return usual_hint(s, t, regressor.requires_grad_(False))


# --- One step of stage 1 --------------------------------------------------------------------------


def lower(network, images):
    return network.lower(images)


def whole(network, images):
    return network(images)


def captured(network, images):
    return capture_by_the_package(network, "lower", images)


def hooked(network, images, keep=torch.clone):
    """Features by a hook; the network runs to its end."""
    return capture_of(lambda i, o: keep(o))(network, "lower", images)


def step_of(
    actions="zero backward step",
    *,
    modes=("eval", "train"),  # of teacher and student
    guard=torch.no_grad,
    look=lower,
    student_look=None,
    loss=lambda s, t, r: F.mse_loss(r(s), t),
    extra=lambda student, teacher, images: 0.0,
    zero=lambda student, regressor, optimizer: optimizer.zero_grad(),
    before=lambda student, teacher, regressor: None,
    make_optimizer=lambda optimizer, parameters: optimizer,
    result=lambda loss, student, teacher, regressor, images: loss.item(),
):
    def step(student, teacher, regressor, images, optimizer):
        for network, mode in zip((teacher, student), modes, strict=True):
            getattr(network, mode)()
        before(student, teacher, regressor)
        with guard():
            target = look(teacher, images)
        value = loss((student_look or look)(student, images), target, regressor)
        value = value + extra(student, teacher, images)
        mine = make_optimizer(optimizer, [*student.lower.parameters(), *regressor.parameters()])
        for action in actions.split():
            if action == "zero":
                zero(student, regressor, optimizer)
            elif action == "backward":
                value.backward()
            else:
                mine.step()
        return result(value, student, teacher, regressor, images)

    return step


def only_the_lower_halves(student, teacher, regressor):
    teacher.lower.eval().requires_grad_(False)
    student.lower.train()


def cleared_by_hand(student, regressor, optimizer):
    for p in [*student.parameters(), *regressor.parameters()]:
        p.grad = None


def own_gradient_step(student, teacher, regressor, x, optimizer):
    with torch.no_grad():
        target = teacher.eval().lower(x)
    loss = ((regressor(student.train().lower(x)) - target) ** 2).mean()
    parameters = [*student.lower.parameters(), *regressor.parameters()]
    optimizer.zero_grad()
    for p, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        p.grad = gradient
    optimizer.step()
    return float(loss)


@torch.no_grad()
def nudge(student, teacher, regressor):
    teacher.upper[1][2].bias += 1e-5


def logits_loss(student, teacher, images):
    return F.mse_loss(student(images), teacher(images).detach())


def kd_loss(student, teacher, images):
    return 4.0**2 * kl()(student(images), teacher(images).detach(), 4.0)


def again(training):
    """A step that computes its loss after it."""
    return step_of(
        result=lambda _, s, t, r, x: usual_hint(lower(s.train(training), x), lower(t, x), r)
    )


RIGHT: Table = {
    checks.capture_features: {
        "": [
            usual_capture,
            capture_in_a_with_block,
            capture_by_the_package,
            capture_of(layer_of=step_by_step),
            capture_that_goes_on_with_the_copy,
            lambda model, path, images: usual_capture(model, path, images).double(),
        ],
        "more than once": capture_after_a_look,
    },
    checks.hint_loss: {
        "": [
            usual_hint,
            lambda s, t, r: feature_losses.hint_loss(r(s), t),
            lambda s, t, r: ((t.detach() - r(s)) ** 2).mean(),
            lambda s, t, r: nn.MSELoss()(r(s), t.detach()).reshape(1),
            lambda s, t, r: (r(s) - t.detach()).pow(2).sum() / t.numel(),
            lambda s, t, r: (r(s) - t.detach()).square().flatten(1).mean(1).mean(),
            lambda s, t, r: F.mse_loss(F.conv2d(s, r.weight, r.bias), t.detach()),
            lambda s, t, r: F.mse_loss(r(s), t.requires_grad_(False)),
            lambda s, t, r: F.mse_loss(r(s).double(), t.detach().double()),
        ],
    },
    checks.hint_step: {
        "": [
            step_of(),
            step_of(
                modes=(AS_IT_IS, AS_IT_IS),
                guard=nullcontext,
                before=only_the_lower_halves,
                zero=cleared_by_hand,
            ),
            own_gradient_step,
            step_of(look=captured),
        ],
        "outside `torch.no_grad()`": step_of(guard=torch.enable_grad, loss=usual_hint),
        "to its end": step_of(look=hooked),
        "more than once": step_of(before=lambda s, t, r: s.lower(torch.ones(2, 1, 4, 4).float())),
        "`loss.item()`": step_of(result=lambda loss, *_: loss),
    },
}

WRONG: Table = {
    checks.capture_features: {
        "works in place | output.clone()": [
            capture_of(lambda i, o: o),
            capture_of(lambda i, o: o, result=lambda k, _: k[0].clone()),
            capture_of(layer_of=relu_for_norm),
        ],
        "module after the one": capture_of(layer_of=next_module),
        "whole block": [capture_of(layer_of=parent), capture_of(layer_of=whole_block)],
        "apply an activation": capture_of(lambda i, o: F.relu(o)),
        "INTO the layer": [capture_of(lambda i, o: i[0].clone()), pre_hook],
        "what the network returns": capture_of(result=lambda kept, output: output),
        "your first call again": capture_of(kept=[]),
        "to the layer itself": capture_of(run=lambda m, layer, x: layer(x)),
        "one after the other | pools": capture_of(run=module_by_module),
        "path with dots | get_submodule | line ": [
            capture_of(layer_of=getattr),
            capture_of(layer_of=lambda m, p: dict(m.named_children())[p]),
            capture_of(layer_of=lambda m, p: m[p]),
        ],
        "refuses": capture_of(lambda i, o: copy.deepcopy(o)),
        "flattened": capture_of(lambda i, o: o.clone().flatten(1)),
        "averaged over the pixels": capture_of(lambda i, o: o.mean((2, 3))),
        "call adds one more | remove()": capture_of(after=lambda m, h: None),
        "hooks that it has not made": capture_of(after=clear_all),
        "changes the network": [patched, beheaded],
        "No gradient can flow": [
            capture_of(lambda i, o: o.detach().clone()),
            torch.no_grad()(usual_capture),
            after_its_own_backward,
        ],
        "to eval mode | Leave the mode": [
            capture_of(before=nn.Module.eval),
            in_eval_mode_and_back,
            capture_of(before=nn.Module.eval, after=lambda m, h: (h.remove(), m.train())),
        ],
        "to train mode": capture_of(before=nn.Module.train),
        "another mode after": capture_of(after=lambda m, h: (h.remove(), m.eval())),
        "returned a list": capture_of(result=lambda kept, output: kept),
        "returned a tuple": capture_of(lambda i, o: i),
        "returns nothing": capture_of(result=lambda kept, output: None),
        "at `lower.norm` | features should be": capture_of(lambda i, o: 3 * o),
        "2 things | in place | call adds one more": capture_of(
            lambda i, o: o, after=lambda m, h: None
        ),
        "2 things | in place | to eval mode": capture_of(lambda i, o: o, before=nn.Module.eval),
    },
    checks.hint_loss: {
        "on the teacher's side | turn them into 0 | channels": lambda s, t, r: F.mse_loss(
            s, r(t.detach())
        ),
        "on the teacher's side": [
            lambda s, t, r: F.mse_loss(r(t), s),
            lambda s, t, r: F.mse_loss(r(s), r(t).detach()),
        ],
        "other channels | regressor(": [
            lambda s, t, r: F.mse_loss(s, t.detach()),
            lambda s, t, r: F.mse_loss(t.detach(), s),
            lambda s, t, r: (s - t).pow(2).mean(),
            lambda s, t, r: feature_losses.hint_loss(s, t),
        ],
        "reaches `teacher_features`": lambda s, t, r: F.mse_loss(r(s), t),
        "Do not detach the student": lambda s, t, r: usual_hint(s.detach(), t, r),
        "neither can learn": [
            lambda s, t, r: F.mse_loss(r(s).detach(), t.detach()),
            lambda *x: usual_hint(*x).item(),
            torch.no_grad()(usual_hint),
        ],
        "reaches the regressor": with_a_frozen_regressor,
        "is never called | the loss should be": with_its_own_regressor,
        "sum over all": [
            hint_of(reduce=torch.sum),
            lambda s, t, r: nn.MSELoss(reduction="sum")(r(s), t.detach()),
        ],
        "average over the batch only": hint_of(reduce=lambda e: e.sum((1, 2, 3)).mean()),
        "sum over the channels": hint_of(reduce=lambda e: e.sum(1).mean()),
        "losses of the images": hint_of(reduce=lambda e: e.mean((1, 2, 3)).sum()),
        "each element": hint_of(reduce=lambda e: e),
        "one loss for each image": hint_of(reduce=lambda e: e.mean((1, 2, 3))),
        "average the length": hint_of(reduce=lambda e: e.flatten(1).sum(1).sqrt().mean()),
        "L1": lambda s, t, r: F.l1_loss(r(s), t.detach()),
        "smooth L1": [
            lambda s, t, r: F.smooth_l1_loss(r(s), t.detach()),
            lambda s, t, r: F.huber_loss(r(s), t.detach()),
        ],
        "cosine distance": [
            hint_of(lambda s, t: 1 - F.cosine_similarity(s, t)),
            hint_of(lambda s, t: 1 - F.cosine_similarity(s.flatten(1), t.flatten(1))),
        ],
        "halved": hint_of(lambda s, t: 0.5 * (s - t) ** 2),
        "opposite sign cancel": hint_of(lambda s, t: s - t, lambda e: e.mean() ** 2),
        "square root": hint_of(reduce=lambda e: e.mean().sqrt()),
        "normalise the features": [
            hint_of(lambda s, t: (unit(s) - unit(t)) ** 2),
            hint_of(lambda s, t: (unit(s.flatten(1)) - unit(t.flatten(1))) ** 2),
        ],
        "pixel by pixel": hint_of(lambda s, t: (s.mean((2, 3)) - t.mean((2, 3))) ** 2),
        "teacher's features alone": hint_of(lambda s, t: (s - F.relu(t)) ** 2),
        "regressor's output": hint_of(lambda s, t: (F.relu(s) - t) ** 2),
        "before the activation": [
            lambda s, t, r: usual_hint(F.relu(s), t, r),
            hint_of(lambda s, t: (F.relu(s) - F.relu(t)) ** 2),
            lambda s, t, r: usual_hint(F.relu(s), F.relu(t), r),
        ],
        "returns nothing": lambda *x: usual_hint(*x) and None,
        "the loss should be | It is the mean of": hint_of(lambda s, t: (s - t) ** 4),
        "2 things | sum over all elements | halved": hint_of(
            lambda s, t: 0.5 * (s - t) ** 2, torch.sum
        ),
        "2 things | sum over all elements | reaches `teacher_features`": lambda s, t, r: F.mse_loss(
            r(s), t, reduction="sum"
        ),
    },
    checks.hint_step: {
        "teacher runs in train mode": step_of(modes=(AS_IT_IS, "train")),
        "student runs in eval mode": step_of(modes=("eval", AS_IT_IS)),
        "Gradients reach the teacher": step_of(guard=torch.enable_grad),
        "teacher's weights changed": step_of(before=nudge),
        "gradients of the step before": step_of("backward step"),
        "Only a part of the old": [
            step_of(zero=lambda s, r, o: s.zero_grad()),
            step_of(zero=lambda s, r, o: (s.lower.zero_grad(), r.zero_grad())),
        ],
        "weight decay": step_of(zero=lambda s, r, o: o.zero_grad(set_to_none=False)),
        "no `loss.backward()`": step_of("zero step"),
        "no `optimizer.step()`": step_of("zero backward"),
        "does not learn": step_of(""),
        "comes before `loss.backward()`": step_of("step zero backward"),
        "between backward and step": step_of("backward zero step"),
        "regressor does not learn": step_of(before=lambda s, t, r: r.requires_grad_(False)),
        "`student.lower` does not learn": step_of(student_look=torch.no_grad()(lower)),
        "AFTER the activation | in-place ReLU": [
            step_of(look=lambda n, x: F.relu(n.lower(x))),
            step_of(look=lambda n, x: hooked(n, x, lambda o: o)),
        ],
        "regressor gets logits": step_of(look=whole),
        "compare the logits": step_of(look=whole, loss=lambda s, t, r: F.mse_loss(s, t)),
        "term for the logits | stage 2": [
            step_of(extra=logits_loss),
            step_of(extra=kd_loss),
        ],
        "no longer takes gradients": step_of(before=lambda s, t, r: s.upper.requires_grad_(False)),
        "computed again after `optimizer.step()`": [again(True), again(False)],
        "Inside the loss | teacher's side": step_of(loss=lambda s, t, r: F.mse_loss(s, r(t))),
        "other channels": step_of(loss=lambda s, t, r: F.mse_loss(s, t)),
        "sum over all": step_of(loss=lambda s, t, r: F.mse_loss(r(s), t, reduction="sum")),
        "average the loss": step_of(loss=lambda s, t, r: (r(s) - t) ** 2),
        "returns nothing": step_of(result=lambda *_: None),
        "returned a tuple": step_of(result=lambda loss, *_: (loss, 1)),
        "the loss should be | the exercise before": step_of(
            loss=lambda s, t, r: ((r(s) - t) ** 4).mean()
        ),
        "not by the optimiser | The loss is right": step_of(
            make_optimizer=lambda o, parameters: torch.optim.SGD(parameters, lr=0.1)
        ),
        "weights of `student.upper` changed | stage 1 trains | the exercise before": step_of(
            extra=lambda student, teacher, x: student(x).square().mean()
        ),
        "0 instead of None | logits out of the loss": step_of(
            extra=lambda student, teacher, x: 0 * student(x).sum()
        ),
        "2 things | teacher runs in train mode | gradients of the step before": step_of(
            "backward step", modes=(AS_IT_IS, "train")
        ),
        "2 things | teacher runs in train mode | Gradients reach the teacher": step_of(
            modes=(AS_IT_IS, "train"), guard=torch.enable_grad
        ),
    },
}
