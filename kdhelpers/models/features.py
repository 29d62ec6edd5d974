"""Hidden layers: capture what they put out, and map a student's features to its teacher's.

    with capture(teacher, "stage2.0", stop_at_deepest=True) as features:
        teacher(images)
    loss = hint_loss(regressor(student_features), features["stage2.0"])

The model is not changed: layers are named by the dotted path that `model.named_modules()` shows,
and the hooks are gone when the `with` block ends, whatever ended it.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from kdhelpers._values import check_ints, check_type, did_you_mean, is_int, require, short_repr


@contextmanager
def capture(
    model: nn.Module, *paths: str, stop_at_deepest: bool = False
) -> Iterator[dict[str, Tensor]]:
    """Collect the outputs of layers, by dotted path, while the model runs inside the `with` block.

    Works in train and eval mode, under autocast and under `no_grad`; gradients flow through the
    captured tensors. A layer that runs again, in a second pass or twice in one, overwrites its
    features.

    With `stop_at_deepest` the forward pass ends as soon as every layer has run, and the `with`
    block with it (a hint needs no more of the teacher): write nothing after the call in the block.

    Raises ValueError: a model that is no network; no path; a path the model does not have (near
    names are suggested); a layer that returns no tensor; at the end of the block, a layer that did
    not run.
    """
    layers = _find(model, paths)
    features: dict[str, Tensor] = {}
    with ExitStack() as handles:
        for path, layer in layers.items():
            hook = _hook(path, features, stop_at=len(layers) if stop_at_deepest else None)
            handles.callback(layer.register_forward_hook(hook).remove)
        try:
            yield features
        except _Stop as stop:
            if stop.features is not features:  # meant for another `capture` around this one
                raise
    missing = [path for path in layers if path not in features]
    names = ", ".join(map(repr, missing))
    told = f"no output of {names} was seen; call the model inside the `with` block"
    require(not missing, f"{told}, in a mode that uses the layer.")


def check_runs_once(model: nn.Module, paths: Iterable[str], inputs: Tensor) -> None:
    """Refuse a layer that is not there, or that runs more often than once in a pass.

    Of such a layer a teacher would tell the first run, where its pass ends, and a student the last.
    """
    runs: Counter[str] = Counter()
    with ExitStack() as handles:
        for path, layer in _find(model, paths).items():
            hook = layer.register_forward_hook(lambda *_, path=path: runs.update([path]))
            handles.callback(hook.remove)
        model(inputs)
    for path, times in runs.items():
        told = f"layer {path!r} of {type(model).__name__} runs {times} times in a pass"
        require(times == 1, f"{told}, so it has no one output; take a layer that runs once.")


LARGEST = 2**16  # channels, or pixels along a side


class Regressor(nn.Module):
    """Map student features to the shape of teacher features: FitNets' r in MSE(r(F_s), F_t).

    (B, student_channels, h, w) to (B, teacher_channels, *size): the map is resized (averaged down,
    or bilinearly up) and then convolved by a 1×1 or 3×3 kernel with bias. `size` is the teacher's
    (H, W), usually `teacher_features.shape[2:]`; None keeps the student's.

    It belongs to the student's side: give its parameters to the optimiser together with the
    student's, and throw it away afterwards. It is no part of the student.

    All its weights begin at zero. With a layer's usual random ones its answers are several times as
    large as the hints of a trained network, and what the student learns first is to be silent: a
    middle layer of VGG16 on CIFAR-10, 2,000 images, Adam at 3e-3, had a loss of 0.0057 after 300
    steps, that of a constant answer, and 0.0040 from zero. Call `convolution.reset_parameters()`
    for random weights.

    Raises ValueError: a kernel other than 1 or 3; channels or a size below 1 or beyond 65,536.
    Source: Romero et al. 2014, arXiv 1412.6550, who choose a larger kernel without padding instead
    of resizing. RepDistiller's adds batch normalisation and ReLU, which a hint taken before the
    activation could not be matched with.
    """

    def __init__(
        self,
        student_channels: int,
        teacher_channels: int,
        *,
        size: tuple[int, int] | None = None,
        kernel_size: int = 1,
    ) -> None:
        super().__init__()
        channels = student_channels, teacher_channels
        check_ints(channels, name="the channels", count=2, most=LARGEST)
        told = f"kernel_size must be 1 or 3, but is {short_repr(kernel_size)}."
        require(is_int(kernel_size) and kernel_size in (1, 3), told)
        self.size = None if size is None else check_ints(size, name="size", count=2, most=LARGEST)
        self.convolution = nn.utils.skip_init(  # draws no random numbers
            nn.Conv2d, *channels, kernel_size, padding=kernel_size // 2
        )
        for parameter in self.convolution.parameters():
            nn.init.zeros_(parameter)

    def forward(self, student_features: Tensor) -> Tensor:
        features = student_features.to(self.convolution.weight.dtype)
        output: Tensor = self.convolution(_resized(features, self.size))
        return output


class _Stop(Exception):
    """Ends a forward pass, on behalf of the `capture` that fills these features."""

    def __init__(self, features: dict[str, Tensor]) -> None:
        super().__init__("the forward pass was stopped at the deepest captured layer")
        self.features = features


def _hook(
    path: str, features: dict[str, Tensor], *, stop_at: int | None
) -> Callable[[nn.Module, Any, Any], Tensor]:
    """A forward hook that keeps a layer's output, and stops once `stop_at` layers are kept."""

    def keep(_layer: nn.Module, _inputs: Any, output: Any) -> Tensor:
        told = f"layer {path!r} returns a {type(output).__name__}, not a tensor"
        require(isinstance(output, Tensor), f"{told}; capture a layer inside it.")
        features[path] = output
        if len(features) == stop_at:
            raise _Stop(features)
        # The model goes on with a copy: an in-place ReLU after this layer would otherwise turn
        # the features before the activation into those after it.
        copy: Tensor = output.clone()
        return copy

    return keep


def _find(model: nn.Module, paths: Iterable[str]) -> dict[str, nn.Module]:
    """The named layers, each under its path."""
    check_type(model, nn.Module, name="model")
    modules = dict(model.named_modules(remove_duplicate=False))
    found = {}
    for path in paths:
        if not isinstance(path, str) or path not in modules:
            hint = did_you_mean(path, modules, [name for name, _ in model.named_children()])
            raise ValueError(f"{type(model).__name__} has no layer {short_repr(path)}{hint}")
        found[path] = modules[path]
    require(found, "no layer to capture; name at least one path of model.named_modules().")
    return found


def _resized(features: Tensor, size: tuple[int, ...] | None) -> Tensor:
    if size is None or size == features.shape[-2:]:
        return features
    if size[0] <= features.shape[-2] and size[1] <= features.shape[-1]:
        return F.adaptive_avg_pool2d(features, (size[0], size[1]))
    return F.interpolate(features, size=size, mode="bilinear", align_corners=False)
