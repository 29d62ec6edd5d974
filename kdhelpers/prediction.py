"""The logits of a network for a whole split: in eval mode, without gradients, in order."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from kdhelpers import _validate
from kdhelpers._values import instance, is_whole, told, whole
from kdhelpers.data import Split, Views

# Measured on the MNIST teacher: on a CPU larger batches fall out of the cache and are slower.
CPU_BATCH, ACCELERATOR_BATCH = 128, 1024


def move(model: nn.Module, device: torch.device, *, channels_last: bool = True) -> None:
    """Move `model` to `device` in place, its filters laid out for channels-last images or not.

    Raises:
        ValueError: no network with weights, or no device of this machine.
    """
    _validate.network(model)
    model.to(_validate.device(device))
    model.to(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode and no gradients inside; afterwards every module has the mode it had before.

    Raises:
        ValueError: no network.
    """
    instance(model, nn.Module, name="model")
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def taking(model: nn.Module, inputs: Tensor) -> Iterator[None]:
    """What PyTorch says of images that a network does not take, as a `ValueError` in one line."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, TypeError, IndexError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise ValueError(
            f"{type(model).__name__} does not take images {list(inputs.shape)}: {reason}."
        ) from error


def ask(model: nn.Module, inputs: Tensor) -> Tensor:
    """The answer of a network in eval mode to images that it may not take.

    Raises:
        ValueError: it takes other images, or answers with something else than a tensor.
    """
    with evaluating(model), taking(model, inputs):
        answer = model(inputs)
    if not isinstance(answer, Tensor):
        raise ValueError(f"{type(model).__name__} must return a tensor, got {told(answer)}.")
    return answer


def predict(
    model: nn.Module,
    split: Split,
    *,
    views: Views | None = None,
    view: int = 0,
    batch_size: int | None = None,
) -> Tensor:
    """Logits float32 [N, classes] of `model` for all images of `split`, in their order.

    Runs on the device of the model's parameters, in single precision; the result lies there too.

    Args:
        views: if given, every image is shown in view number `view` of them.
        batch_size: images at a time; default 128 on a CPU, 1024 elsewhere. It changes speed
            and the last digits of the logits.

    Raises:
        ValueError: `split` is empty, its images do not fit the model, `batch_size` is less
            than 1, `views` have no such `view`, or the model is no network with weights.
    """
    _validate.network(model)
    instance(split, Split, name="split")
    _validate.readable(split.images, name="the images of the split")
    if len(split) == 0:
        raise ValueError("the split is empty: there is nothing to predict.")
    if batch_size is not None:
        batch_size = whole(batch_size, name="batch_size", least=1)
    if views is not None:
        instance(views, Views, name="views")
    if not is_whole(view) or not 0 <= view < len(views or Views()):
        raise ValueError(
            f"view must be between 0 and {len(views or Views()) - 1}, got {told(view)}."
        )
    device = next((p.device for p in model.parameters()), split.images.device)
    size = batch_size or (CPU_BATCH if device.type == "cpu" else ACCELERATOR_BATCH)
    logits: list[Tensor] = []
    with evaluating(model):
        for images in split.images.split(size):
            images = images.to(device)
            if views is not None:
                images = views(images, torch.full((len(images),), view, device=device))
            inputs = split.normalise(images)
            logits.append((model(inputs) if logits else ask(model, inputs)).float())
    return torch.cat(logits)
