"""Lesson 04: `answer(model, path, images)` → features [B, C, H, W] of the layer at `path`.

What `model.get_submodule(path)` puts out while the model runs on the images, before an in-place
activation behind it changes that. Gradients flow back through the features; afterwards the
model is as it was: no hook stays, its parameters are the same, and its mode is the caller's.
One run is enough; a second one is allowed.
"""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdhelpers.checks.exercise import Case, Exercise, Mistakes, Observation, Way, numbers
from kdhelpers.checks.networks import HOOK_LEFT, Network, hooks, with_fixed_weights
from kdhelpers.checks.running import Answer, Misuse, call, explain, to_tensor

FIRST = 400, "lower.norm", 1, False  # the inputs of the first case


def solution(
    model: nn.Module,
    path: str,
    images: Tensor,
    *,
    layer_of: Way = nn.Module.get_submodule,
    keep: Way = lambda given, output: output.clone(),
    run: Way = lambda model, layer, images: model(images),
    mode: bool | None = None,  # train (True) or eval mode, instead of the one it is in
    mode_afterwards: Way = lambda before: None,
    hand_on: Way = lambda kept, output: kept,
) -> Any:
    layer, kept, before = layer_of(model, path), list[Tensor](), model.training
    handle = layer.register_forward_hook(
        lambda _layer, inputs, output: kept.append(keep(inputs[0], output))
    )
    if mode is not None:
        model.train(mode)
    output = run(model, layer, images)
    if (afterwards := mode_afterwards(before)) is not None:
        model.train(afterwards)
    handle.remove()
    return hand_on(kept[-1], output)


def _inputs(seed: int, path: str, batch: int, training: bool) -> dict[str, Any]:
    model = with_fixed_weights(Network(), seed).train(training)
    return {"model": model, "path": path, "images": numbers(seed + 2, batch, 1, 4, 4)}


def _of_the_first_case(kept: Tensor, output: Tensor) -> Tensor:
    first = solution(**_inputs(*FIRST))
    return kept if torch.equal(kept, first) else first


def _state(model: nn.Module) -> tuple[list[Any], list[Any], set[Any]]:
    """Modules by path, and whether a `forward` has been replaced; parameters; hooks."""
    return (
        [(path, id(m), "forward" in vars(m)) for path, m in model.named_modules()],
        [(p.tolist(), p.requires_grad, p.grad is None) for p in model.parameters()],
        hooks(model),
    )


def _observe(answer: Answer, inputs: dict[str, Any]) -> Observation:
    model = inputs["model"]
    passes: list[torch.Size] = []
    outputs: list[Tensor] = []
    # Somebody else's hooks, which have to be there afterwards.
    model.get_submodule(inputs["path"]).register_forward_hook(
        lambda module, given, output: passes.append(output.shape)
    )
    model.register_forward_hook(lambda module, given, output: outputs.append(output))
    weight, modes = model.lower.conv.weight, {m: m.training for m in model.modules()}
    parts, learning, hooked = _state(model)
    try:
        given = call(answer, inputs)
    except (IndexError, KeyError, NameError) as error:
        if passes or (isinstance(error, IndexError | UnboundLocalError) and not outputs):
            raise Misuse(f"{_KEPT if passes else _NOT_RUN}\n{explain(error)}") from error
        raise
    result = to_tensor(
        given,
        wanted=(
            "the layer's output, a tensor [B, C, H, W]; of a list the last entry, and a hook's "
            "`inputs` are a tuple"
        ),
    )
    if any(torch.equal(result, each) for each in model.state_dict().values()):
        raise Misuse(
            "You return what a layer has learnt, its weights or its bias. Its features are what it "
            "puts out while the network runs: a forward hook sees them."
        )
    parts_after, learning_after, hooked_after = _state(model)
    same, changed = parts_after == parts, learning_after != learning
    frozen = not all(parameter.requires_grad for parameter in model.parameters())
    state = _gradient(result, weight)
    flows, expected = state == "flows", not passes or result.shape in passes
    lost = {name: state == name and expected and not frozen for name in LOST}
    return Observation(
        values={"features": result.detach()},
        effects={
            "hook left": bool(hooked_after - hooked),
            "hook of others removed": bool(hooked - hooked_after),
            "parameters changed": same and changed and (flows or frozen),
            "model changed": not same,
            "mode changed": any(m.training != mode for m, mode in modes.items()),
            **lost,
            "output replaced": lost["output replaced"]
            or (flows and any(_gradient(o, weight) != "flows" for o in outputs)),
        },
        clues=tuple(m.training for m in modes),
        remark=_PASSES_REMARK if len(passes) > 1 else "",
        detail=f", at `{inputs['path']}`,",
    )


_KEPT = (
    "The network ran, and your hook kept nothing that you can return. Was it registered on the "
    "layer before the run, and removed only after it?"
)
_NOT_RUN = (
    "The network has not run, so your hook has kept nothing. Call `model(images)` between "
    "registering the hook and removing it."
)


LOST = "no gradient", "elsewhere", "used up", "output replaced"


def _gradient(result: Tensor, weight: Tensor) -> str:
    """Whether one comes from the result to the weight: "flows", or why not."""
    if result.grad_fn is None:
        return "no gradient"
    try:
        grad = torch.autograd.grad
        there = grad(result.sum(), weight, retain_graph=True, allow_unused=True)[0]
        return "elsewhere" if there is None else "flows"
    except RuntimeError as error:  # the network's in-place ReLU overwrites what a hook has returned
        return "output replaced" if "inplace operation" in str(error) else "used up"


_PASSES_REMARK = (
    "the layer runs more than once for one batch, which takes time, and in train mode its batch "
    "norm counts each pass. One pass is enough."
)


def _after(model: nn.Module, path: str) -> nn.Module:
    paths = [name for name, _ in model.named_modules()]
    return model.get_submodule(paths[paths.index(path) + 1])


_MODE = (
    "Leave the mode to the caller: a student's features are taken in train mode, its teacher's in "
    "eval mode."
)

# fmt: off
MISTAKES: Mistakes = {
    "These are the features AFTER the activation: the next ReLU works in place and overwrites the "
    "tensor that your hook has kept. Keep a copy in the hook: `output.clone()`.":
        dict(keep=lambda given, output: output),
    "This is the output of the module after the one that `path` names; after a norm, that is the "
    "activation. The hook belongs on `model.get_submodule(path)` itself.": dict(layer_of=_after),
    "This is the output of the whole block that the layer sits in, so it comes after the "
    "activation. Follow the path to its end: `model.get_submodule(path)`.":
        [dict(layer_of=lambda model, path: model.get_submodule(path.rpartition(".")[0])),
         dict(layer_of=lambda model, path: model.get_submodule(path.partition(".")[0]))],
    "You apply an activation to the layer's output. Hand on the output as it is.":
        dict(keep=lambda given, output: F.relu(output)),
    "This is what goes INTO the layer. A forward hook is called as `hook(module, inputs, "
    "output)`: keep a copy of its third argument.": dict(keep=lambda given, output: given.clone()),
    "This is what the whole network returns. Either you return its output instead of what the "
    "hook has kept, or the hook sits on the network instead of its layer.":
        dict(depth=1, hand_on=lambda kept, output: output),
    **{
        f"This is the output of `{name}`, whatever the path. The hook belongs on "
        "`model.get_submodule(path)`.":
            dict(depth=1, layer_of=lambda model, path, name=name: model.get_submodule(name))
        for name in (f"{half}.{part}" for half in ("lower", "upper")
                     for part in ("conv", "norm", "relu"))
    },
    "You return the features of your first call again. Make the list or dict in which the hook "
    "keeps them anew in each call, inside the function.": dict(depth=1, hand_on=_of_the_first_case),
    "You give the images to the layer itself. Call the whole network, `model(images)`; the hook "
    "sees what comes out of the layer on the way.":
        dict(depth=1, run=lambda model, layer, images: layer(images)),
    "You call the network's modules one after the other, and its `forward` does more: here it "
    "pools in between. Call `model(images)` and look inside with a forward hook.":
        dict(depth=1, run=lambda model, layer, images: nn.Sequential(*model.children())(images)),
    "A path with dots leads through several modules, and one name at a time is looked up here. "
    "Use `model.get_submodule(path)` or `dict(model.named_modules())[path]`.":
        [dict(depth=1, layer_of=getattr),
         dict(depth=1, layer_of=lambda model, path: dict(model.named_children())[path]),
         dict(depth=1, layer_of=lambda model, path: model[path])],
    "`copy.deepcopy` refuses tensors that belong to a graph of gradients. Keep `output.clone()`.":
        dict(depth=1, keep=lambda given, output: copy.deepcopy(output)),
    "Your features are flattened. Keep the map [B, C, H, W].":
        dict(depth=1, keep=lambda given, output: output.flatten(1).clone()),
    "Your features are averaged over the pixels. Keep the map [B, C, H, W].":
        dict(depth=1, keep=lambda given, output: output.mean(dim=(2, 3))),
    **{
        f"Your function switches the network to {name} mode. {_MODE}": [
            dict(mode=mode),
            dict(mode=mode, mode_afterwards=lambda before: before),
            dict(mode=mode, mode_afterwards=lambda before, other=not mode: other),
        ]
        for name, mode in (("eval", False), ("train", True))
    },
}
# fmt: on

capture_features = Exercise(
    task=__doc__,
    observe=_observe,
    solution=solution,
    cases=Case.each_of(
        _inputs,
        FIRST,
        (410, "upper.conv", 3, True),
        (420, "upper.norm", 2, True),
        (430, "lower", 2, False),
    ),
    mistakes=MISTAKES,
    praise="the hook keeps a copy of the layer's output, and the network is as it was before.",
    symptoms={
        "hook left": HOOK_LEFT,
        "hook of others removed": (
            "Your function removes hooks that it has not made. Remove your own through its handle: "
            "`handle.remove()`."
        ),
        "model changed": (
            "Your function changes the network: a module or its `forward` is another one "
            "afterwards. A forward hook looks inside without changing it."
        ),
        "parameters changed": (
            "The network's parameters are not as they were: their values, their gradients, or "
            "whether they take any. Whoever looks inside trains nothing and freezes nothing."
        ),
        "mode changed": f"The network is in another mode after your function. {_MODE}",
        "elsewhere": (
            "The features take gradients, but none comes to the network that you were given, as "
            "when a copy of it runs. Run `model` itself."
        ),
        "used up": (
            "The features' graph is used up: a `backward()` in your function has freed it. Whoever "
            "gets the features calls `backward()`."
        ),
        "output replaced": (
            "What your hook returns takes the place of the layer's output, and its gradients are "
            "lost. A hook that only looks returns nothing."
        ),
        "no gradient": (
            "No gradient can flow from these features back into the network, and a student has to "
            "learn through them. Leave out `.detach()` and `no_grad` here; who asks a teacher sets "
            "`no_grad` around the call."
        ),
    },
)
