"""The checks of lesson 04 against right answers in several spellings, and against mistakes.

Every wrong answer here is written out by hand; none comes from the tables the checks use.
"""

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from test_checks import ODD_ANSWERS, STUBS, assert_right, assert_wrong, raises, table
from torch import Tensor, nn

from kdhelpers import checks
from kdhelpers.checks import exercise
from kdhelpers.checks.networks import Network, halves, with_fixed_weights
from kdhelpers.checks.running import sandbox
from kdhelpers.losses import features as feature_losses
from kdhelpers.models import features

Answer = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("global_random_state_is_left_alone")

CHECKS = {
    "capture_features": (checks.capture_features, checks.capture_features),
    "hint_loss": (checks.hint_loss, checks.hint_loss),
    "hint_step": (checks.hint_step, checks.hint_step),
}
EVERY_CHECK = pytest.mark.parametrize("check", [c for c, _ in CHECKS.values()], ids=CHECKS)


def assert_one_mistake(verdict: checks.Verdict, *words: str) -> None:
    assert_wrong(verdict, *words)
    assert "things to repair" not in verdict.message, verdict


# --- Capture the features of a layer --------------------------------------------------------------


def usual_capture(model: nn.Module, path: str, images: Tensor) -> Any:
    kept = {}

    def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
        kept["features"] = output.clone()

    handle = model.get_submodule(path).register_forward_hook(hook)
    model(images)
    handle.remove()
    return kept["features"]


def capture_in_a_with_block(model: nn.Module, path: str, images: Tensor) -> Any:
    kept: list[Tensor] = []
    layer = dict(model.named_modules())[path]
    with layer.register_forward_hook(lambda m, i, o: kept.append(o + 0)):
        model(images)
    return kept[0]


def capture_by_the_package(model: nn.Module, path: str, images: Tensor) -> Any:
    with features.capture(model, path, stop_at_deepest=True) as kept:
        model(images)
    return kept[path]


def capture_step_by_step(model: Any, path: str, images: Tensor) -> Any:
    layer = model
    for name in path.split("."):
        layer = getattr(layer, name)
    kept: list[Tensor] = []
    handle = layer.register_forward_hook(lambda m, i, o: kept.append(o.clone()), prepend=True)
    try:
        model(images)
    finally:
        handle.remove()
    return kept.pop()


def capture_that_goes_on_with_the_copy(model: nn.Module, path: str, images: Tensor) -> Any:
    kept: dict[str, Tensor] = {}
    handle = model.get_submodule(path).register_forward_hook(
        lambda m, i, o: kept.setdefault("x", o).clone()
    )
    model(images)
    handle.remove()
    return kept["x"]


@table(
    usual=usual_capture,
    with_block=capture_in_a_with_block,
    package=capture_by_the_package,
    step_by_step=capture_step_by_step,
    copy_goes_on=capture_that_goes_on_with_the_copy,
    double=lambda model, path, images: usual_capture(model, path, images).double(),
)
def test_capture_right(row: Answer) -> None:
    verdict = checks.capture_features(row)
    assert_right(verdict)
    assert "One step further" not in verdict.message


def test_capture_right_with_a_float64_default_and_under_no_grad(float64_default: None) -> None:
    with torch.no_grad():
        assert_right(checks.capture_features(usual_capture))


def test_capture_with_two_passes_is_right_with_a_remark() -> None:
    def answer(model: nn.Module, path: str, images: Tensor) -> Any:
        model(images)
        return usual_capture(model, path, images)

    verdict = checks.capture_features(answer)
    assert_right(verdict)
    assert "more than once" in verdict.message


def capture_of(
    keep: Answer = lambda inputs, output: output.clone(),
    *,
    layer_of: Answer = nn.Module.get_submodule,
    before: Answer = lambda model: None,
    run: Answer = lambda model, layer, images: model(images),
    after: Answer = lambda model, handle: handle.remove(),
    result: Answer = lambda kept, output: kept[0],
    kept: list[Any] | None = None,
) -> Answer:
    """A function with a hook; a list handed in as `kept` lives on from call to call."""

    def answer(model: nn.Module, path: str, images: Tensor) -> Any:
        collected: list[Any] = [] if kept is None else kept
        layer = layer_of(model, path)
        handle = layer.register_forward_hook(lambda m, i, o: collected.append(keep(i, o)))
        before(model)
        output = run(model, layer, images)
        after(model, handle)
        return result(collected, output)

    return answer


def whole_block(model: Any, path: str) -> Any:
    return getattr(model, path.split(".")[0])


def parent(model: Any, path: str) -> Any:
    return model.get_submodule(".".join(path.split(".")[:-1]))


def next_module(model: nn.Module, path: str) -> Any:
    names = [name for name, _ in model.named_modules()]
    return model.get_submodule(names[names.index(path) + 1])


def relu_for_norm(model: nn.Module, path: str) -> Any:
    return model.get_submodule(path.replace("norm", "relu"))


def module_by_module(model: nn.Module, layer: nn.Module, images: Tensor) -> Any:
    for _, child in model.named_children():
        images = child(images)


def pre_hook(model: nn.Module, path: str, images: Tensor) -> Any:
    kept: list[Tensor] = []
    with model.get_submodule(path).register_forward_pre_hook(lambda m, i: kept.append(i[0])):
        model(images)
    return kept[0]


def clear_all(model: nn.Module, handle: Any) -> None:
    for module in model.modules():
        module._forward_hooks.clear()


def patched(model: nn.Module, path: str, images: Tensor) -> Any:
    kept: list[Tensor] = []
    layer = model.get_submodule(path)
    old = layer.forward

    def forward(x: Tensor) -> Any:
        output = old(x)
        kept.append(output.clone())
        return output

    layer.forward = forward  # type: ignore[method-assign]
    model(images)
    return kept[0]


def beheaded(model: Any, path: str, images: Tensor) -> Any:
    model.head = nn.Identity()
    return usual_capture(model, path, images)


def in_eval_mode_and_back(model: nn.Module, path: str, images: Tensor) -> Any:
    mode = model.training
    model.eval()
    kept = usual_capture(model, path, images)
    model.train(mode)
    return kept


def after_its_own_backward(model: nn.Module, path: str, images: Tensor) -> Any:
    kept = usual_capture(model, path, images)
    kept.square().sum().backward()
    return kept


def under_no_grad(model: nn.Module, path: str, images: Tensor) -> Any:
    with torch.no_grad():
        return usual_capture(model, path, images)


@table(
    reference_kept=(capture_of(lambda i, o: o), "works in place", "output.clone()"),
    copied_too_late=(capture_of(lambda i, o: o, result=lambda k, _: k[0].clone()), "in place"),
    relu_hooked=(capture_of(layer_of=relu_for_norm), "AFTER the activation"),
    next_module=(capture_of(layer_of=next_module), "module after the one"),
    parent=(capture_of(layer_of=parent), "whole block"),
    whole_block=(capture_of(layer_of=whole_block), "whole block"),
    own_relu=(capture_of(lambda i, o: F.relu(o)), "apply an activation"),
    input=(capture_of(lambda i, o: i[0].clone()), "INTO the layer"),
    pre_hook=(pre_hook, "INTO the layer"),
    model_output=(capture_of(result=lambda kept, output: output), "what the network returns"),
    first_call=(capture_of(kept=[]), "your first call again"),
    layer_called=(capture_of(run=lambda m, layer, x: layer(x)), "to the layer itself"),
    by_module=(capture_of(run=module_by_module), "one after the other", "pools"),
    getattr=(capture_of(layer_of=getattr), "path with dots", "get_submodule", "line "),
    children=(capture_of(layer_of=lambda m, p: dict(m.named_children())[p]), "path with dots"),
    indexed=(capture_of(layer_of=lambda m, p: m[p]), "path with dots"),
    deepcopy=(capture_of(lambda i, o: copy.deepcopy(o)), "refuses"),
    flat=(capture_of(lambda i, o: o.clone().flatten(1)), "flattened"),
    pooled=(capture_of(lambda i, o: o.mean((2, 3))), "averaged over the pixels"),
    hook_left=(capture_of(after=lambda m, h: None), "call adds one more", "remove()"),
    all_removed=(capture_of(after=clear_all), "hooks that it has not made"),
    patched=(patched, "changes the network"),
    beheaded=(beheaded, "changes the network"),
    detached=(capture_of(lambda i, o: o.detach().clone()), "No gradient can flow"),
    no_grad=(under_no_grad, "No gradient can flow"),
    backward=(after_its_own_backward, "No gradient can flow"),
    eval=(capture_of(before=nn.Module.eval), "to eval mode", "Leave the mode"),
    eval_and_back=(in_eval_mode_and_back, "to eval mode", "Leave the mode"),
    eval_then_train=(
        capture_of(before=nn.Module.eval, after=lambda m, h: (h.remove(), m.train())),
        "to eval mode",
    ),
    train=(capture_of(before=nn.Module.train), "to train mode"),
    eval_afterwards=(capture_of(after=lambda m, h: (h.remove(), m.eval())), "another mode after"),
    all_kept=(capture_of(result=lambda kept, output: kept), "returned a list"),
    inputs_kept=(capture_of(lambda i, o: i), "returned a tuple"),
    nothing=(capture_of(result=lambda kept, output: None), "returns nothing"),
    scaled=(capture_of(lambda i, o: 3 * o), "at `lower.norm`", "features should be"),
)
def test_capture_wrong(row: tuple[Any, ...]) -> None:
    answer, *words = row
    assert_one_mistake(checks.capture_features(answer), *words)


def test_capture_with_two_mistakes() -> None:
    left = capture_of(lambda i, o: o, after=lambda m, h: None)
    assert_wrong(checks.capture_features(left), "2 things", "in place", "call adds one more")
    both = capture_of(lambda i, o: o, before=nn.Module.eval)
    assert_wrong(checks.capture_features(both), "2 things", "in place", "to eval mode")


def test_a_stale_capture_is_recognised_in_the_second_check_too() -> None:
    answer = capture_of(kept=[])
    for _ in range(2):
        assert_wrong(checks.capture_features(answer), "your first call again")


# --- The hint loss --------------------------------------------------------------------------------


def usual_hint(s: Tensor, t: Tensor, regressor: nn.Module) -> Any:
    return F.mse_loss(regressor(s), t.detach())


@table(
    usual=usual_hint,
    package=lambda s, t, r: feature_losses.hint_loss(r(s), t),
    by_hand=lambda s, t, r: ((t.detach() - r(s)) ** 2).mean(),
    module=lambda s, t, r: nn.MSELoss()(r(s), t.detach()).reshape(1),
    sums=lambda s, t, r: (r(s) - t.detach()).pow(2).sum() / t.numel(),
    images=lambda s, t, r: (r(s) - t.detach()).square().flatten(1).mean(1).mean(),
    functional=lambda s, t, r: F.mse_loss(F.conv2d(s, r.weight, r.bias), t.detach()),
    no_flag=lambda s, t, r: F.mse_loss(r(s), t.requires_grad_(False)),
    double=lambda s, t, r: F.mse_loss(r(s).double(), t.detach().double()),
)
def test_hint_loss_right(row: Answer) -> None:
    assert_right(checks.hint_loss(row))


def test_hint_loss_right_with_a_float64_default_and_under_no_grad(float64_default: None) -> None:
    with torch.no_grad():
        assert_right(checks.hint_loss(usual_hint))


def hint_of(difference: Answer = lambda s, t: (s - t) ** 2, reduce: Answer = torch.mean) -> Answer:
    return lambda s, t, r: reduce(difference(r(s), t.detach()))


def unit(f: Tensor) -> Any:
    return F.normalize(f)


def with_its_own_regressor(s: Tensor, t: Tensor, regressor: nn.Module) -> Any:
    own = nn.Conv2d(s.shape[1], t.shape[1], 1)
    return F.mse_loss(own(s), t.detach())


def with_a_frozen_regressor(s: Tensor, t: Tensor, regressor: nn.Module) -> Any:
    return F.mse_loss(regressor.requires_grad_(False)(s), t.detach())


def in_no_grad(s: Tensor, t: Tensor, regressor: nn.Module) -> Any:
    with torch.no_grad():
        return usual_hint(s, t, regressor)


@table(
    teacher_side=(
        lambda s, t, r: F.mse_loss(s, r(t.detach())),
        "on the teacher's side",
        "turn them into 0",
        "channels",
    ),
    teacher_side_first=(lambda s, t, r: F.mse_loss(r(t), s), "on the teacher's side"),
    both_sides=(lambda s, t, r: F.mse_loss(r(s), r(t).detach()), "on the teacher's side"),
    no_regressor=(lambda s, t, r: F.mse_loss(s, t.detach()), "other channels", "regressor("),
    no_regressor_turned=(lambda s, t, r: F.mse_loss(t.detach(), s), "other channels"),
    no_regressor_by_hand=(lambda s, t, r: (s - t).pow(2).mean(), "other channels"),
    no_regressor_package=(lambda s, t, r: feature_losses.hint_loss(s, t), "other channels"),
    teacher_gradient=(lambda s, t, r: F.mse_loss(r(s), t), "reaches `teacher_features`"),
    student_detached=(lambda s, t, r: usual_hint(s.detach(), t, r), "Do not detach the student"),
    all_detached=(lambda s, t, r: F.mse_loss(r(s).detach(), t.detach()), "neither can learn"),
    item=(lambda *x: usual_hint(*x).item(), "neither can learn"),
    no_grad=(in_no_grad, "neither can learn"),
    frozen=(with_a_frozen_regressor, "reaches the regressor"),
    sum=(hint_of(reduce=torch.sum), "sum over all elements"),
    sum_of_module=(lambda s, t, r: nn.MSELoss(reduction="sum")(r(s), t.detach()), "sum over all"),
    batch_mean=(hint_of(reduce=lambda e: e.sum((1, 2, 3)).mean()), "average over the batch only"),
    channel_sum=(hint_of(reduce=lambda e: e.sum(1).mean()), "sum over the channels"),
    sum_of_images=(hint_of(reduce=lambda e: e.mean((1, 2, 3)).sum()), "losses of the images"),
    table=(hint_of(reduce=lambda e: e), "each element"),
    vector=(hint_of(reduce=lambda e: e.mean((1, 2, 3))), "one loss for each image"),
    lengths=(hint_of(reduce=lambda e: e.flatten(1).sum(1).sqrt().mean()), "average the length"),
    l1=(lambda s, t, r: F.l1_loss(r(s), t.detach()), "L1"),
    smooth=(lambda s, t, r: F.smooth_l1_loss(r(s), t.detach()), "smooth L1"),
    huber=(lambda s, t, r: F.huber_loss(r(s), t.detach()), "smooth L1"),
    cosine=(hint_of(lambda s, t: 1 - F.cosine_similarity(s, t)), "cosine distance"),
    cosine_of_images=(
        hint_of(lambda s, t: 1 - F.cosine_similarity(s.flatten(1), t.flatten(1))),
        "cosine distance",
    ),
    half=(hint_of(lambda s, t: 0.5 * (s - t) ** 2), "halved"),
    square_of_mean=(hint_of(lambda s, t: s - t, lambda e: e.mean() ** 2), "opposite sign cancel"),
    root=(hint_of(reduce=lambda e: e.mean().sqrt()), "square root"),
    normalised=(hint_of(lambda s, t: (unit(s) - unit(t)) ** 2), "normalise the features"),
    normalised_images=(
        hint_of(lambda s, t: (unit(s.flatten(1)) - unit(t.flatten(1))) ** 2),
        "normalise the features",
    ),
    pooled=(hint_of(lambda s, t: (s.mean((2, 3)) - t.mean((2, 3))) ** 2), "pixel by pixel"),
    teacher_relu=(hint_of(lambda s, t: (s - F.relu(t)) ** 2), "teacher's features alone"),
    output_relu=(hint_of(lambda s, t: (F.relu(s) - t) ** 2), "regressor's output"),
    student_relu=(lambda s, t, r: usual_hint(F.relu(s), t, r), "before the activation"),
    both_relu=(hint_of(lambda s, t: (F.relu(s) - F.relu(t)) ** 2), "before the activation"),
    features_relu=(lambda s, t, r: usual_hint(F.relu(s), F.relu(t), r), "before the activation"),
    nothing=(lambda *x: usual_hint(*x) and None, "returns nothing"),
    cubed=(hint_of(lambda s, t: (s - t) ** 4), "the loss should be", "It is the mean of"),
)
def test_hint_loss_wrong(row: tuple[Any, ...]) -> None:
    answer, *words = row
    assert_one_mistake(checks.hint_loss(answer), *words)


def test_hint_loss_with_its_own_regressor() -> None:
    verdict = checks.hint_loss(with_its_own_regressor)
    assert_wrong(verdict, "is never called", "the loss should be")


def test_hint_loss_with_two_mistakes() -> None:
    paper = hint_of(lambda s, t: 0.5 * (s - t) ** 2, torch.sum)
    assert_wrong(checks.hint_loss(paper), "2 things", "sum over all elements", "halved")
    leaky = checks.hint_loss(lambda s, t, r: F.mse_loss(r(s), t, reduction="sum"))
    assert_wrong(leaky, "2 things", "sum over all elements", "reaches `teacher_features`")


# --- One step of stage 1 --------------------------------------------------------------------------


def usual_step(student: Any, teacher: Any, regressor: Any, images: Tensor, optimizer: Any) -> Any:
    teacher.eval()
    student.train()
    with torch.no_grad():
        teacher_features = teacher.lower(images)
    loss = F.mse_loss(regressor(student.lower(images)), teacher_features)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def parts_step(student: Any, teacher: Any, regressor: Any, x: Tensor, optimizer: Any) -> Any:
    """Only the lower halves change their mode, and gradients are cleared by hand."""
    teacher.lower.eval().requires_grad_(False)
    student.lower.train()
    loss = feature_losses.hint_loss(regressor(student.lower(x)), teacher.lower(x))
    for p in [*student.parameters(), *regressor.parameters()]:
        p.grad = None
    loss.backward()
    optimizer.step()
    return loss.detach()


def own_gradient_step(student: Any, teacher: Any, regressor: Any, x: Tensor, optimizer: Any) -> Any:
    student.train()
    with torch.no_grad():
        target = teacher.eval().lower(x)
    loss = ((regressor(student.lower(x)) - target) ** 2).mean()
    parameters = [*student.lower.parameters(), *regressor.parameters()]
    optimizer.zero_grad()
    for p, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        p.grad = gradient
    optimizer.step()
    return float(loss)


def capturing_step(student: Any, teacher: Any, regressor: Any, x: Tensor, optimizer: Any) -> Any:
    teacher.eval()
    student.train()
    with torch.no_grad(), features.capture(teacher, "lower", stop_at_deepest=True) as taught:
        teacher(x)
    with features.capture(student, "lower", stop_at_deepest=True) as learnt:
        student(x)
    loss = F.mse_loss(regressor(learnt["lower"]), taught["lower"])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@table(usual=usual_step, parts=parts_step, own=own_gradient_step, capturing=capturing_step)
def test_step_right(row: Answer) -> None:
    verdict = checks.hint_step(row)
    assert_right(verdict)
    assert "One step further" not in verdict.message


def test_step_right_with_a_float64_default_and_under_no_grad(float64_default: None) -> None:
    with torch.no_grad():
        assert_right(checks.hint_step(usual_step))


def lower(network: Any, images: Tensor) -> Any:
    return network.lower(images)


def hooked(network: Any, images: Tensor, keep: Answer = torch.clone) -> Any:
    """Features by a hook; the network runs to its end."""
    kept: list[Tensor] = []
    with network.lower.register_forward_hook(lambda m, i, o: kept.append(keep(o))):
        network(images)
    return kept[0]


def step_of(
    actions: str = "zero backward step",
    *,
    teacher_mode: str = "eval",
    student_mode: str = "train",
    guard: Any = torch.no_grad,
    look: Answer = lower,
    student_look: Answer | None = None,
    loss: Answer = lambda s, t, r: F.mse_loss(r(s), t),
    extra: Answer = lambda student, teacher, images: 0.0,
    zero: Answer = lambda student, regressor, optimizer: optimizer.zero_grad(),
    before: Answer = lambda student, teacher, regressor: None,
    make_optimizer: Answer = lambda optimizer, parameters: optimizer,
    result: Answer = lambda loss, student, images: loss.item(),
) -> Answer:
    def step(student: Any, teacher: Any, regressor: Any, images: Tensor, optimizer: Any) -> Any:
        if teacher_mode:
            getattr(teacher, teacher_mode)()
        if student_mode:
            getattr(student, student_mode)()
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
        return result(value, student, images)

    return step


@table(
    graph=(
        step_of(guard=torch.enable_grad, loss=lambda s, t, r: usual_hint(s, t, r)),
        "outside `torch.no_grad()`",
    ),
    to_the_end=(step_of(look=hooked), "to its end"),
    passes=(step_of(before=lambda s, t, r: s.lower(torch.ones(2, 1, 4, 4))), "more than once"),
    loss=(step_of(result=lambda loss, *_: loss), "`loss.item()`"),
)
def test_step_right_with_a_remark(row: tuple[Answer, str]) -> None:
    answer, words = row
    verdict = checks.hint_step(answer)
    assert_right(verdict)
    assert "One step further" in verdict.message
    assert words in verdict.message


def nudge(student: Any, teacher: Any, regressor: Any) -> None:
    with torch.no_grad():
        teacher.upper[1][2].bias += 1e-5


def whole(network: Any, images: Tensor) -> Any:
    return network(images)


def logits_loss(student: Any, teacher: Any, images: Tensor) -> Any:
    return F.mse_loss(student(images), teacher(images).detach())


def kd_loss(student: Any, teacher: Any, images: Tensor, T: float = 4.0) -> Any:
    p_t = F.softmax(teacher(images).detach() / T, 1)
    return T**2 * F.kl_div(F.log_softmax(student(images) / T, 1), p_t, reduction="batchmean")


def cut(network: Any, images: Tensor) -> Any:
    with torch.no_grad():
        return network.lower(images)


def again(mode: str) -> Answer:
    """A loss computed after the step."""

    def step(student: Any, teacher: Any, regressor: Any, images: Tensor, optimizer: Any) -> Any:
        usual_step(student, teacher, regressor, images, optimizer)
        getattr(student, mode)()
        return F.mse_loss(regressor(student.lower(images)), teacher.lower(images)).item()

    return step


@table(
    teacher_train=(step_of(teacher_mode=""), "teacher runs in train mode"),
    student_eval=(step_of(student_mode=""), "student runs in eval mode"),
    teacher_gradient=(step_of(guard=torch.enable_grad), "Gradients reach the teacher"),
    teacher_weights=(step_of(before=nudge), "teacher's weights changed"),
    no_zero=(step_of("backward step"), "gradients of the step before"),
    only_student_cleared=(step_of(zero=lambda s, r, o: s.zero_grad()), "Only a part of the old"),
    only_lower_cleared=(
        step_of(zero=lambda s, r, o: (s.lower.zero_grad(), r.zero_grad())),
        "Only a part of the old",
    ),
    zeros=(step_of(zero=lambda s, r, o: o.zero_grad(set_to_none=False)), "weight decay"),
    no_backward=(step_of("zero step"), "no `loss.backward()`"),
    no_step=(step_of("zero backward"), "no `optimizer.step()`"),
    nothing_done=(step_of(""), "does not learn"),
    step_first=(step_of("step zero backward"), "comes before `loss.backward()`"),
    zero_between=(step_of("backward zero step"), "between backward and step"),
    regressor_frozen=(
        step_of(before=lambda s, t, r: r.requires_grad_(False)),
        "regressor does not learn",
    ),
    student_cut=(step_of(student_look=cut), "`student.lower` does not learn"),
    after_relu=(step_of(look=lambda n, x: F.relu(n.lower(x))), "AFTER the activation"),
    kept_reference=(step_of(look=lambda n, x: hooked(n, x, lambda o: o)), "in-place ReLU"),
    logits=(step_of(look=whole), "regressor gets logits"),
    logits_alone=(step_of(look=whole, loss=lambda s, t, r: F.mse_loss(s, t)), "compare the logits"),
    logits_too=(step_of(extra=logits_loss), "term for the logits"),
    kd_too=(step_of(extra=kd_loss), "term for the logits", "stage 2"),
    frozen_upper=(
        step_of(before=lambda s, t, r: s.upper.requires_grad_(False)),
        "no longer takes gradients",
    ),
    again_in_train=(again("train"), "computed again after `optimizer.step()`"),
    again_in_eval=(again("eval"), "computed again after `optimizer.step()`"),
    side=(step_of(loss=lambda s, t, r: F.mse_loss(s, r(t))), "Inside the loss", "teacher's side"),
    no_regressor=(step_of(loss=lambda s, t, r: F.mse_loss(s, t)), "other channels"),
    sum=(step_of(loss=lambda s, t, r: F.mse_loss(r(s), t, reduction="sum")), "sum over all"),
    vector=(step_of(loss=lambda s, t, r: (r(s) - t) ** 2), "average the loss"),
    nothing_returned=(step_of(result=lambda *_: None), "returns nothing"),
    pair=(step_of(result=lambda loss, *_: (loss, 1)), "returned a tuple"),
    unknown=(
        step_of(loss=lambda s, t, r: ((r(s) - t) ** 4).mean()),
        "the loss should be",
        "the exercise before",
    ),
)
def test_step_wrong(row: tuple[Any, ...]) -> None:
    answer, *words = row
    assert_one_mistake(checks.hint_step(answer), *words)


def test_step_with_its_own_optimiser() -> None:
    own = step_of(make_optimizer=lambda o, parameters: torch.optim.SGD(parameters, lr=0.1))
    assert_wrong(checks.hint_step(own), "not by the optimiser", "The loss is right")


def test_step_that_moves_the_upper_half_otherwise() -> None:
    unknown = step_of(extra=lambda student, teacher, x: student(x).square().mean())
    assert_wrong(checks.hint_step(unknown), "weights of `student.upper` changed", "stage 1 trains")
    nothing = step_of(extra=lambda student, teacher, x: 0 * student(x).sum())
    assert_one_mistake(checks.hint_step(nothing), "0 instead of None", "logits out of the loss")


def test_step_with_two_mistakes() -> None:
    verdict = checks.hint_step(step_of("backward step", teacher_mode=""))
    assert_wrong(verdict, "2 things", "teacher runs in train mode", "gradients of the step before")
    leaky = checks.hint_step(step_of(teacher_mode="", guard=torch.enable_grad))
    assert_wrong(leaky, "2 things", "teacher runs in train mode", "Gradients reach the teacher")


# --- Whatever a learner hands over ----------------------------------------------------------------


@EVERY_CHECK
@pytest.mark.parametrize("stub", STUBS)
def test_stubs_are_not_attempted_yet(check: Answer, stub: Any) -> None:
    assert check(stub).status == "not attempted"


# To compare an answer with all the mistakes takes long; these are the ways that differ most.
FEW = ("a number", "too few", "class", "first argument", "nan", "meta", "exit", "global switch")


@pytest.mark.parametrize(
    ("check", "name"),
    [(checks.hint_loss, name) for name in ODD_ANSWERS]
    + [(check, name) for check in (checks.capture_features, checks.hint_step) for name in FEW],
)
def test_no_answer_makes_a_check_raise(check: Answer, name: str) -> None:
    verdict = check(ODD_ANSWERS[name])
    assert verdict.status == "wrong"
    assert 10 < len(verdict.message) < 1500
    assert torch.is_grad_enabled()


@EVERY_CHECK
def test_the_interrupt_key_still_works(check: Answer) -> None:
    with pytest.raises(KeyboardInterrupt):
        check(raises(KeyboardInterrupt()))


# --- The tables and the networks ------------------------------------------------------------------


def outcomes(e: exercise.Exercise, changes: Any) -> list[Any]:
    """What a variant does in each case, up to an error: values, effects and clues, or its text."""
    variant = e.made_of(**changes)
    seen: list[Any] = []
    with sandbox():
        for case in e.cases:
            try:
                o = e.observe(variant, case.inputs())
            except Exception as error:
                return [*seen, str(error)]
            seen.append(o)
    return seen


def alike(first: list[Any], second: list[Any]) -> bool:
    for a, b in zip(first, second, strict=False):
        if isinstance(a, str) or isinstance(b, str):
            return bool(a == b)
        if a.clues != b.clues or not all(
            key in b.values and exercise.close(value, b.values[key], 1e-3)
            for key, value in a.values.items()
        ):
            return False
    return True


@table(**{name: e for name, (_, e) in CHECKS.items()})
def test_no_two_mistakes_with_different_sentences_do_the_same(row: exercise.Exercise) -> None:
    assert_right(row(row.right))
    assert_right(row(row.made_of()))
    done = [("", outcomes(row, {}))]
    for known in row.known:
        seen = outcomes(row, known.changes)
        for sentence, other in done:
            assert sentence == known.sentence or not alike(seen, other), (sentence, known.sentence)
        done.append((known.sentence, seen))


def test_sentences_end_and_speak_plainly() -> None:
    for _, e in CHECKS.values():
        sentences = [m.sentence for m in e.known] + list(e.symptoms.values()) + [e.praise]
        for sentence in sentences:
            assert sentence.endswith((".", "`."))
            assert sentence.count("`") % 2 == 0
            assert len(sentence) < 330
            assert len(re.findall(r"[.?!]`?(?= [A-Z`]|$)", sentence)) <= 3


def test_a_network_depends_on_its_seed_alone() -> None:
    with sandbox():
        networks = [with_fixed_weights(Network(), seed) for seed in (1, 1, 2)]
    first, second, other = (network.state_dict() for network in networks)
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["lower.conv.weight"], other["lower.conv.weight"])
    assert float(first["lower.norm.running_mean"].abs().min()) > 0


def test_halves_put_features_and_logits_out() -> None:
    with sandbox():
        network = halves(5)
    images = torch.zeros(2, 1, 4, 4)
    lower_features = network.get_submodule("lower")(images)
    assert lower_features.shape == (2, 5, 4, 4)
    assert network(images).shape == (2, 3)
