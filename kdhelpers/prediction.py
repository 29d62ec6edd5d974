"""The logits of a network for a whole split: in eval mode, without gradients, in order."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from kdhelpers.data import Split, Views

# Measured on the MNIST teacher: on a CPU larger batches fall out of the cache and are slower.
CPU_BATCH, ACCELERATOR_BATCH = 128, 1024


def move(model: nn.Module, device: torch.device, *, channels_last: bool = True) -> None:
    """Move `model` to `device` in place, its filters laid out for channels-last images or not."""
    model.to(device)
    model.to(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode and no gradients inside; afterwards every module has the mode it had before."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


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
            than 1, or `views` have no such `view`.
    """
    if len(split) == 0:
        raise ValueError("the split is empty: there is nothing to predict.")
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
    if not 0 <= view < len(views or Views()):
        raise ValueError(f"view must be between 0 and {len(views or Views()) - 1}, got {view}.")
    device = next((p.device for p in model.parameters()), split.images.device)
    size = batch_size or (CPU_BATCH if device.type == "cpu" else ACCELERATOR_BATCH)
    logits = []
    with evaluating(model):
        for images in split.images.split(size):
            images = images.to(device)
            if views is not None:
                images = views(images, torch.full((len(images),), view, device=device))
            logits.append(model(split.normalise(images)).float())
    return torch.cat(logits)
