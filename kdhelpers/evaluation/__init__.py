"""What a network answers for a whole split, and how good, how sure and how big it is."""

import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import BaseTorchFunctionMode

from kdhelpers import _tensors
from kdhelpers._values import (
    check_callable,
    check_int,
    check_ints,
    check_number,
    check_type,
    require,
    short_repr,
)
from kdhelpers.data.batching import Views
from kdhelpers.data.split import Split

# Measured on the MNIST teacher: on a CPU larger batches fall out of the cache and are slower.
CPU_BATCH, ACCELERATOR_BATCH = 128, 1024
ASKED = 8  # images that tell networks apart whose weights cannot be seen


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode and no gradients inside; afterwards every module has the mode it had before.

    Raises:
        ValueError: no network.
    """
    check_type(model, nn.Module, name="model")
    # A frozen TorchScript has none.
    modes = [(each, each.training) for each in model.modules() if hasattr(each, "training")]
    set_to_eval(model)
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


def set_to_eval(model: nn.Module) -> None:
    """Eval mode; an exported program, or frozen TorchScript, has its mode for good."""
    with suppress(NotImplementedError, AttributeError):
        model.eval()


def unwrapped(model: nn.Module) -> nn.Module:
    """The network itself in what `torch.compile` or data parallelism has put around it."""
    for name in ("_orig_mod", "module"):
        inner = dict(model.named_children()).get(name)
        if isinstance(inner, nn.Module) and type(model).__module__.startswith("torch."):
            return unwrapped(inner)
    return model


def precision_of(model: nn.Module) -> torch.dtype:
    """What a network computes in: the type of its first weights, float32 if it has none."""
    return next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)


def logits_of(answer: Any) -> Tensor:
    """The logits in the answer of any network.

    The answer itself, its entry or attribute `logits`, or the first of several: as torchvision's,
    timm's and Hugging Face's networks have them, and ONNX Runtime's sessions as NumPy arrays.

    Raises:
        ValueError: none of these is a tensor.
    """
    if isinstance(answer, Tensor):
        return answer
    if isinstance(answer, np.ndarray) and answer.dtype.kind == "f":
        return torch.tensor(answer)
    found: Any = getattr(answer, "logits", None)
    if isinstance(answer, Mapping):
        found = answer.get("logits")
    elif found is None and isinstance(answer, tuple | list) and answer:
        found = answer[0]
    if isinstance(found, Tensor | np.ndarray):
        return logits_of(found)
    told = "a network must return logits, alone, first of several, or as 'logits'"
    raise ValueError(f"{told}, got {short_repr(answer)}; wrap it in one that does.")


def warn_if_probabilities(answers: Tensor, who: str) -> None:
    """Rows of answers [n, C] that sum to 1 are no logits."""
    sums = answers.sum(1)
    if bool((answers >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=1e-3):
        told = f"the {who} answers with probabilities (each row sums to 1) where logits are needed"
        warnings.warn(f"{told}; leave out its last softmax, or take .log().", stacklevel=2)


def warn_if_odd(answers: Tensor, again: Tensor, who: str) -> None:
    """Of answers [n, C] to images, and to every other of them, what only a mistake explains."""
    largest = float(answers.abs().max())
    if not torch.allclose(answers[::2], again, rtol=1e-2, atol=1e-2 * largest):
        told = f"the {who} answers the same images differently each time, in eval mode"
        remedy = "look for dropout that is always on, noise, or batch normalisation that has no "
        remedy += "running statistics (its answers depend on the batch)"
        warnings.warn(f"{told}; {remedy}.", stacklevel=2)


@contextmanager
def taking(model: nn.Module, inputs: Tensor, what: str = "images") -> Iterator[None]:
    """What PyTorch says of inputs that a network does not take, as a `ValueError` in one line."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, TypeError, IndexError, AssertionError) as error:  # guards of exports, too
        reason = str(error).partition("\n")[0][:200]
        kinds = {p.dtype for p in model.parameters() if p.is_floating_point()} - {inputs.dtype}
        if kinds:
            reason = f"some of its weights are {kinds.pop()}, which .float() makes float32"
        raise ValueError(
            f"{type(model).__name__} does not take {what} {list(inputs.shape)}: {reason}."
        ) from error


def ask(model: nn.Module, inputs: Tensor) -> Tensor:
    """The logits of a network in eval mode for images that it may not take.

    Raises:
        ValueError: it takes other images, or answers with something else than logits.
    """
    with evaluating(model), taking(model, inputs):
        answer = model(inputs)
    return logits_of(answer)


def uses_view(error: Exception) -> bool:
    """Whether a network stopped at a `view` in its code, which channels last does not allow."""
    return ".reshape(" in str(error)  # the remedy that PyTorch names


def _ask_laid_out(model: nn.Module, inputs: Tensor) -> tuple[Tensor, torch.memory_format]:
    """`ask` with channels last, which halves the time of convolutions on a CPU, if it is taken."""
    try:
        layout = torch.channels_last
        return ask(model, inputs.contiguous(memory_format=layout)), layout
    except ValueError as error:
        if not uses_view(error):
            raise
    return ask(model, inputs), torch.contiguous_format


def predict(
    model: nn.Module,
    split: Split,
    *,
    views: Views | None = None,
    view: int = 0,
    batch_size: int | None = None,
) -> Tensor:
    """Logits float32 [N, classes] of `model` for all images of `split`, in their order.

    Runs on the device of the model's parameters and in their precision; the result lies there.

    Args:
        views: if given, every image is shown in view number `view` of them.
        batch_size: images at a time; default 128 on a CPU, 1024 elsewhere. It changes speed
            and the last digits of the logits.

    Raises:
        ValueError: `split` is empty, its images do not fit the model, `batch_size` is less
            than 1, `views` have no such `view`, or the model is no network with weights.
    """
    _tensors.check_network(model)
    check_type(split, Split, name="split")
    check_type(views, Views, type(None), name="views")
    require(len(split), "the split is empty: there is nothing to predict.")
    check_int(view, name="view", most=len(views or Views()) - 1)
    device = next((p.device for p in model.parameters()), split.images.device)
    if batch_size is None:
        batch_size = CPU_BATCH if device.type == "cpu" else ACCELERATOR_BATCH
    size = check_int(batch_size, name="batch_size", least=1)
    dtype = precision_of(model)
    logits: list[Tensor] = []
    layout = torch.contiguous_format
    with evaluating(model), torch.autocast(device.type, enabled=False):
        for images in split.images.split(size):
            images = images.to(device)
            if views is not None:
                images = views(images, torch.full((len(images),), view, device=device))
            inputs = split.normalise(images).to(dtype)
            # The last are fewer, and some networks take no such batch.
            if logits and len(logits[-1]) == len(inputs):
                answer = logits_of(model(inputs.contiguous(memory_format=layout)))
            else:
                answer, layout = _ask_laid_out(model, inputs)
            told = f"the network answers {len(answer)} rows for {len(inputs)} images"
            require(len(answer) == len(inputs), f"{told}; it must give one for each.")
            logits.append(answer.float())
    return torch.cat(logits)


MOST_PIXELS = 2**28  # in what a network is measured with: a gibibyte
LONGEST = 60.0  # seconds of a measurement
BINS = 15
UNCOUNTED = ("torch.jit.", "torch.ao.nn.quantized.", "torch.ao.nn.intrinsic.quantized.")


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """The share of rows of `logits` [N, C] whose largest entry stands at the label [N].

    Raises:
        ValueError: logits that are not finite floating-point numbers of this shape, or labels that
            are not whole numbers from 0 to C - 1, one for each row.
    """
    _check_rows(logits, labels)
    return _accuracy(logits, labels)


def _accuracy(logits: Tensor, labels: Tensor) -> float:
    return int((logits.argmax(1) == labels.to(logits.device)).sum()) / len(labels)


def agreement(student_logits: Tensor, teacher_logits: Tensor) -> float:
    """The share of samples on which both networks [N, C] predict the same class, right or wrong.

    Raises:
        ValueError: logits of two shapes, or as for `accuracy`.
    """
    _check_rows(student_logits, name="student_logits")
    _check_rows(teacher_logits, name="teacher_logits")
    shapes = f"{list(student_logits.shape)} and {list(teacher_logits.shape)}"
    same = student_logits.shape == teacher_logits.shape
    require(same, f"agreement needs logits of one shape, got {shapes}.")
    return _accuracy(student_logits, teacher_logits.argmax(1))


def calibration_error(logits: Tensor, labels: Tensor, *, bins: int = BINS) -> float:
    """Expected calibration error: how far confidence and accuracy lie apart, from 0 to 1.

    The mean over `bins` equal bins of confidence of |accuracy − confidence|, weighted by the
    samples in each (Naeini et al. 2015; Guo et al. 2017, arXiv 1706.04599; 15 bins).

    Raises:
        ValueError: less than 1 or more than 10,000 bins, or as for `accuracy`.
    """
    _check_rows(logits, labels)
    return _calibration_error(logits, labels, check_int(bins, name="bins", least=1, most=10_000))


def _calibration_error(logits: Tensor, labels: Tensor, bins: int) -> float:
    sure, predicted = _tensors.widened(logits).softmax(1).max(1)
    right = (predicted == labels.to(logits.device)).cpu().numpy()
    confidence = sure.detach().float().cpu().numpy()
    # A bin holds its lower end; a confidence of 1 lies in the last with its neighbours.
    inner_edges = np.linspace(0, 1, bins + 1)[1:-1].astype(np.float32)
    # NumPy sums in float64, which not every device has.
    gaps = np.bincount(np.digitize(confidence, inner_edges), weights=right - confidence)
    return float(np.abs(gaps).sum() / len(right))


class Size(NamedTuple):
    """Parameters, multiply-accumulates for one image, and mebibytes of its weights in float32."""

    parameters: int
    macs: int
    mebibytes: float


def size(model: nn.Module, input_shape: tuple[int, int, int]) -> Size:
    """The size of `model` for one image of `input_shape` (C, H, W).

    Multiply-accumulates are those that torchinfo counts layer by layer, or `products_of` if more:
    a `forward` may compute without layers, and torchinfo leaves out what is pruned.

    Raises:
        ValueError: no network, TorchScript, quantised layers, or a shape that it does not take.
    """
    from torchinfo import summary

    input_shape = _shape(model, input_shape)
    told = "TorchScript has no layers to count, and quantised ones hide their weights"
    hidden = any(type(layer).__module__.startswith(UNCOUNTED) for layer in model.modules())
    require(not hidden, f"{told}; give the network it was made from.")
    model = unwrapped(model)
    device = _device(model)
    products = products_of(model, torch.zeros(1, *input_shape, device=device))
    with evaluating(model):
        counted = summary(model, input_data=torch.zeros(1, *input_shape), verbose=0, device=device)
    parameters = sum(each.numel() for each in model.parameters())  # tied ones once
    return Size(parameters, max(counted.total_mult_adds, products), parameters * 4 / 2**20)


def products_of(model: nn.Module, images: Tensor) -> int:
    """Multiply-accumulates of a forward pass: convolutions, linear maps, attention; no biases.

    Raises:
        ValueError: images that the network does not take.
    """
    from torch.utils.flop_counter import FlopCounterMode  # imports much, for few callers

    # In any mode for functions attention takes no fast path, whose inside cannot be counted.
    with FlopCounterMode(display=False) as counter, BaseTorchFunctionMode():
        ask(unwrapped(model), images)
    return int(counter.get_total_flops()) // 2


def latency(
    model: nn.Module,
    input_shape: tuple[int, int, int],
    *,
    batch_size: int = 1,
    seconds: float = 0.2,
) -> float:
    """The median time in milliseconds of one forward pass, measured for about `seconds`.

    As `milliseconds` measures it: on one thread, so that networks of different size compare.

    Raises:
        ValueError: `batch_size` or `seconds` is not positive or `seconds` above 60, no network, or
            images that it does not take.
    """
    input_shape = _shape(model, input_shape)
    check_int(batch_size, name="batch_size", least=1, most=MOST_PIXELS // math.prod(input_shape))
    own = torch.Generator().manual_seed(0)  # the global random state is left as it is
    inputs = torch.randn(batch_size, *input_shape, generator=own)
    inputs = inputs.to(_device(model))
    ask(model, inputs)
    with evaluating(model):
        return milliseconds(lambda: model(inputs), seconds=seconds)


def milliseconds(call: Callable[[], object], *, seconds: float = 0.2) -> float:
    """The median time of `call()` in milliseconds, measured for about `seconds`.

    Uses torch.utils.benchmark, which warms up and waits for the device; with one thread of PyTorch.
    Other programs' threads are theirs: give ONNX Runtime one by its session's options.

    Raises:
        ValueError: `call` cannot be called, or `seconds` is not positive or above 60.
    """
    check_callable(call, name="call", called="call()")
    check_number(seconds, 1e-6, LONGEST, name="seconds")
    # On a machine with CUDA's compiler but no GPU, the import warns about what is not used here.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    from torch.utils.benchmark import Timer

    timer = Timer("call()", globals={"call": call}, num_threads=1)
    return float(timer.blocked_autorange(min_run_time=seconds).median * 1e3)


def evaluate(
    model: nn.Module, split: Split, *, teacher_logits: Tensor | None = None
) -> dict[str, float]:
    """`accuracy` and `calibration_error` of `model` on `split`, with its `agreement` if asked.

    The first two are over the images that have a label (other than −1).

    Args:
        teacher_logits: the teacher's logits [N, C] on the same split, in its order.

    Raises:
        ValueError: as for `predict`, `accuracy` and `agreement`, or no image has a label.
    """
    logits = predict(model, split)
    warn_if_probabilities(logits, "network")
    judged = split.labels >= 0
    nothing = "labels are −1 throughout: there is nothing to judge by; agreement() needs none."
    require(judged.any(), nothing)
    own, labels = logits[judged.to(logits.device)], split.labels[judged]
    _check_rows(own, labels)
    with suppress(ValueError):  # of a network that does not take a few
        few = range(0, min(ASKED, len(split)), 2)
        warn_if_odd(logits[:ASKED], predict(model, split.select(few)), "network")
    figures = {
        "accuracy": _accuracy(own, labels),
        "calibration_error": _calibration_error(own, labels, BINS),
    }
    remedy = "ask a network with predict(teacher, split)"
    require(not callable(teacher_logits), f"teacher_logits must be logits [N, C]; {remedy}.")
    if teacher_logits is not None:
        figures["agreement"] = agreement(logits, torch.as_tensor(teacher_logits).to(logits.device))
    return figures


def _shape(model: nn.Module, shape: Sequence[int]) -> tuple[int, int, int]:
    """The checked shape of an image for a checked network."""
    _tensors.check_network(model)
    channels, height, width = check_ints(shape, name="input_shape", count=3, most=2**16)
    told = f"input_shape must be that of an image (C, H, W), got {short_repr(shape)}."
    require(channels * height * width <= MOST_PIXELS, told)
    return channels, height, width


def _device(model: nn.Module) -> torch.device:
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def _check_rows(logits: Tensor, labels: Tensor | None = None, *, name: str = "logits") -> None:
    """Finite logits [N, C], and a class index for each row."""
    check_type(logits, Tensor, name=name)
    kind = f"{name} must be floating point, got {logits.dtype}; convert with .float()."
    require(logits.is_floating_point(), kind)
    if labels is None:
        labels = torch.zeros(logits.shape[:1], dtype=torch.int64)
    check_type(labels, Tensor, name="labels")
    shapes = f"{list(logits.shape)} and {list(labels.shape)}"
    fits = logits.ndim == 2 and labels.shape == logits.shape[:1] and logits.numel()
    require(fits, f"{name} must be [N, C] with labels [N] and N at least 1, got {shapes}.")
    diverged = f"{name} contain NaN or infinity: the network has diverged."
    require(torch.isfinite(logits).all(), diverged)
    _tensors.check_labels(labels, like=logits.cpu() if labels.is_cpu else logits)
