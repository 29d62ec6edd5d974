"""Every public callable: arguments that work, ways to vary these, the errors it documents."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from hostile_figures import FIGURES, drawn
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from matplotlib.figure import Figure
from small_data import split
from torch import Tensor, nn

from kdhelpers import (
    arms,
    checkpoint,
    comparisons,
    controls,
    convnets,
    course,
    data,
    devices,
    distillation,
    environment,
    evaluation,
    fading,
    feature_losses,
    features,
    files,
    fitnets,
    grids,
    hints,
    lessons,
    losses,
    models,
    optimizers,
    parameters,
    photodigits,
    plots,
    power,
    prediction,
    pretrained,
    record_tables,
    records,
    report,
    resnet,
    settings,
    side_by_side,
    sliders,
    sources,
    stacked,
    stats,
    sweep_tables,
    sweeps,
    tables,
    temperature,
    together,
    training,
    vgg,
)
from kdhelpers.checkpoint import CheckpointError
from kdhelpers.sources import DataError
from kdhelpers.training import TrainingError

Arguments = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """How to attack one callable.

    `make(**draws)` gives valid arguments; `draws` says what hypothesis may vary in them. `left`
    names arguments that are not attacked, `skipped` single values, each with the reason. A `slow`
    one is attacked with fewer values. One that is `refused` lacks what a test cannot have.
    """

    call: Callable[..., Any]
    make: Callable[..., Arguments]
    draws: Mapping[str, SearchStrategy[Any]] = field(default_factory=dict)
    errors: tuple[type[Exception], ...] = (ValueError,)
    left: Mapping[str, str] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    slow: bool = False
    refused: bool = False

    def spares(self, argument: str) -> bool:
        """Whether an argument is not attacked with everything."""
        return argument in self.left or any(
            told.startswith(f"{argument}: ") for told in self.skipped
        )


def fixed(**makers: Callable[[], Any]) -> Callable[..., Arguments]:
    """Arguments made anew for every call; a draw replaces what it is named after."""

    def make(**draws: Any) -> Arguments:
        return {name: maker() for name, maker in makers.items()} | draws

    return make


def plain(call: Callable[..., Any], **values: Any) -> Row:
    """A row whose valid arguments are these values."""
    return Row(call, fixed(**{name: lambda value=value: value for name, value in values.items()}))


FLAG = "a flag: nothing but its truth is asked"


def functions(name: str) -> dict[str, str]:
    reason = "a function of another signature fails as any call of it does"
    whats = ("class", "function", "function of nothing", "network", "meta network")
    return {f"{name}: {what}": reason for what in whats}


# -- what the arguments are made of ---------------------------------------------------------------

FLOATS = st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64])
SEEDS = st.integers(0, 2**16)
SIZES = st.integers(1, 5)
TEMPERATURES = st.floats(1e-3, 100)  # beyond it, half precision has no room for the gradient
WEIGHTS = st.floats(0, 100)
SHARES = st.floats(0, 1)
RESULTS = st.lists(st.floats(-1e6, 1e6), min_size=6, max_size=9)


def normal(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Tiny(nn.Module):
    """Logits [B, 3] from images [B, 1, 8, 8]; the same weights every time."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(2)
        self.head = nn.Linear(32, 3)
        for number, tensor in enumerate(self.parameters()):
            nn.init.uniform_(tensor, -0.2, 0.2, generator=torch.Generator().manual_seed(number))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(torch.relu(self.norm(self.conv(inputs))).flatten(1))


@functools.cache
def small() -> data.Split:
    """The same one every time, as nothing writes into it."""
    return split(12)


def logits_pair(
    batch: int = 3,
    classes: int = 4,
    seed: int = 0,
    scale: float = 1.0,
    student: torch.dtype = torch.float32,
    teacher: torch.dtype = torch.float32,
) -> tuple[Tensor, Tensor]:
    scale = min(scale, 1e3 if torch.float16 in (student, teacher) else scale)
    first = normal(batch, classes, seed=seed, scale=scale).to(student)
    return first, normal(batch, classes, seed=seed + 1, scale=scale).to(teacher)


PAIR = dict(batch=SIZES, classes=SIZES, seed=SEEDS, scale=st.floats(1e-3, 1e4))
PAIR |= dict(student=FLOATS, teacher=FLOATS)


def with_gradient(loss: Callable[..., Tensor], student: str) -> Callable[..., Any]:
    """The loss and its gradient for the student, where it can have one."""

    def call(**arguments: Any) -> Any:
        own = arguments[student]
        if isinstance(own, Tensor) and own.is_floating_point() and own.is_leaf:
            arguments[student] = own = own.detach().requires_grad_()
        value = loss(**arguments)
        if isinstance(own, Tensor) and own.requires_grad and value.requires_grad:
            return value, torch.autograd.grad(value.sum(), own)[0]
        return value

    return call


def on_logits(
    loss: Callable[..., Tensor], *, labelled: bool = False, smallest: int = 1, **options: Any
) -> Row:
    def make(batch: int = 3, classes: int = 4, **draws: Any) -> Arguments:
        pair = {name: draws.pop(name) for name in PAIR if name in draws}
        batch, classes = max(batch, smallest), max(classes, smallest)
        own, other = logits_pair(batch, classes, **pair)
        made = {"student_logits": own, "teacher_logits": other}
        if labelled:
            made["labels"] = torch.arange(batch) % classes
        return made | {name: value for name, (value, _) in options.items()} | draws

    draws = PAIR | {name: strategy for name, (_, strategy) in options.items()}
    return Row(with_gradient(loss, "student_logits"), make, draws)


def on_features(
    loss: Callable[..., Tensor], names: tuple[str, str], *, like: bool = False, **options: Any
) -> Row:
    def make(
        batch: int = 3,
        channels: int = 2,
        width: int = 3,
        seed: int = 0,
        scale: float = 1.0,
        **draws: Any,
    ) -> Arguments:
        batch = max(batch, 3)
        wider = channels if like else channels + 1
        own = normal(batch, channels, width, width, seed=seed, scale=scale)
        other = normal(batch, wider, width, width, seed=seed + 1, scale=scale)
        made = {names[0]: own, names[1]: other}
        return made | {name: value for name, (value, _) in options.items()} | draws

    draws = dict(batch=SIZES, channels=SIZES, width=SIZES, seed=SEEDS, scale=st.floats(1e-3, 1e4))
    return Row(
        with_gradient(loss, names[0]),
        make,
        draws | {name: strategy for name, (_, strategy) in options.items()},
    )


T = (4.0, TEMPERATURES)
FEATURES = ("student_features", "teacher_features")

LOSSES = {
    "losses.soft_targets": Row(
        with_gradient(losses.soft_targets, "logits"),
        fixed(logits=lambda: normal(3, 4), temperature=lambda: 4.0),
        dict(logits=st.builds(normal, SIZES, SIZES, seed=SEEDS), temperature=TEMPERATURES),
    ),
    "losses.kd_loss": on_logits(losses.kd_loss, temperature=T),
    "losses.soft_cross_entropy": on_logits(losses.soft_cross_entropy, temperature=T),
    "losses.probability_mse": on_logits(losses.probability_mse, temperature=T),
    "losses.logit_mse": on_logits(losses.logit_mse),
    "losses.distillation_loss": on_logits(
        losses.distillation_loss, labelled=True, temperature=T, alpha=(0.9, SHARES)
    ),
    "losses.decoupled_kd_loss": on_logits(
        losses.decoupled_kd_loss,
        labelled=True,
        smallest=2,
        temperature=T,
        alpha=(1.0, WEIGHTS),
        beta=(8.0, WEIGHTS),
    ),
    "losses.dist_loss": on_logits(
        losses.dist_loss, smallest=2, temperature=T, beta=(1.0, WEIGHTS), gamma=(1.0, WEIGHTS)
    ),
    "feature_losses.hint_loss": on_features(feature_losses.hint_loss, FEATURES, like=True),
    "feature_losses.attention_transfer_loss": on_features(
        feature_losses.attention_transfer_loss,
        FEATURES,
        form=("code", st.sampled_from(["code", "paper"])),
    ),
    "feature_losses.similarity_loss": on_features(feature_losses.similarity_loss, FEATURES),
    "feature_losses.relational_loss": on_features(
        feature_losses.relational_loss,
        ("student", "teacher"),
        distance_weight=(25.0, WEIGHTS),
        angle_weight=(50.0, WEIGHTS),
    ),
    "distillation.standardized_kd_loss": on_logits(
        distillation.standardized_kd_loss, smallest=2, temperature=T
    ),
    "temperature.standardize_logits": Row(
        with_gradient(temperature.standardize_logits, "logits"),
        fixed(logits=lambda: normal(3, 4)),
        dict(logits=st.builds(normal, SIZES, st.integers(2, 6), seed=SEEDS)),
    ),
}


def captured(model: Any, path: Any, stop_at_deepest: Any) -> Any:
    with features.capture(model, path, stop_at_deepest=stop_at_deepest) as kept:
        model(torch.ones(2, 1, 8, 8))
    return kept


def regress(**options: Any) -> Tensor:
    given = options.pop("student_features")
    mapped = features.Regressor(**options)(given)
    return feature_losses.hint_loss(mapped, torch.zeros_like(mapped))  # which refuses NaN


POSITIVE = st.floats(1e-3, 1e3)


def schedule(kind: Callable[..., Any], **options: float) -> Row:
    def call(epoch: Any, epochs: Any, **given: Any) -> Any:
        return kind(**given)(epoch, epochs)

    def make(epoch: int = 3, more: int = 7, **draws: Any) -> Arguments:
        return options | {"epoch": epoch, "epochs": epoch + more} | draws

    return Row(call, make, dict(epoch=st.integers(0, 500), more=st.integers(1, 500)))


HIDDEN = {
    "features.capture": Row(
        captured,
        fixed(model=Tiny, path=lambda: "conv", stop_at_deepest=lambda: False),
        left=dict(stop_at_deepest=FLAG),
    ),
    "features.Regressor": Row(
        regress,
        fixed(
            student_channels=lambda: 2,
            teacher_channels=lambda: 3,
            size=lambda: (4, 4),
            kernel_size=lambda: 1,
            student_features=lambda: normal(2, 2, 3, 3),
        ),
        dict(size=st.none() | st.tuples(SIZES, SIZES), kernel_size=st.sampled_from([1, 3])),
    ),
    "temperature.ExponentialDecay": schedule(
        temperature.ExponentialDecay, start=5.0, floor=1.0, factor=0.95
    ),
    "temperature.Linear": schedule(temperature.Linear, start=5.0, end=1.0),
    "temperature.Cosine": schedule(temperature.Cosine, start=5.0, end=1.0),
    "temperature.LearnedTemperature": schedule(
        temperature.LearnedTemperature, theta=1.0, low=1.0, width=20.0, ramp=10
    ),
    "temperature.LearnedTemperature.strength": Row(
        lambda epoch: temperature.LearnedTemperature().strength(epoch), fixed(epoch=lambda: 3)
    ),
    "temperature.reverse_gradient": Row(
        with_gradient(temperature.reverse_gradient, "value"),
        fixed(value=lambda: torch.tensor(1.0), strength=lambda: 0.5),
        dict(strength=SHARES),
        skipped=dict.fromkeys(
            ("value: 0-d tensor NaN", "value: matrix with NaN", "value: matrix with inf"),
            "the same value, as promised; the loss that it goes to refuses it",
        ),
    ),
    "temperature.check": plain(temperature.check, temperature=4.0),
}


def rows_of(**options: Any) -> Arguments:
    return {"logits": normal(5, 3), "labels": torch.arange(5) % 3} | options


MEASURES = {
    "evaluation.accuracy": Row(evaluation.accuracy, rows_of),
    "evaluation.agreement": Row(
        evaluation.agreement,
        fixed(student_logits=lambda: normal(5, 3), teacher_logits=lambda: normal(5, 3, seed=1)),
    ),
    "evaluation.calibration_error": Row(
        evaluation.calibration_error,
        lambda **draws: rows_of(**{"bins": 15} | draws),
        dict(bins=st.integers(1, 100)),
    ),
    "evaluation.size": Row(evaluation.size, fixed(model=Tiny, input_shape=lambda: (1, 8, 8))),
    "evaluation.latency": Row(
        evaluation.latency,
        fixed(
            model=Tiny, input_shape=lambda: (1, 8, 8), batch_size=lambda: 1, seconds=lambda: 1e-4
        ),
        skipped=dict.fromkeys(
            ("seconds: 1.5", "seconds: NumPy's integer"), "allowed, and as long as it says"
        ),
        slow=True,
    ),
    "evaluation.evaluate": Row(
        evaluation.evaluate,
        fixed(model=Tiny, split=small, teacher_logits=lambda: normal(12, 3)),
        slow=True,
    ),
    "prediction.move": Row(
        prediction.move,
        fixed(model=Tiny, device=lambda: torch.device("cpu"), channels_last=lambda: True),
        left=dict(channels_last=FLAG),
    ),
    "prediction.evaluating": Row(
        lambda model: list(entered(prediction.evaluating(model))), fixed(model=Tiny)
    ),
    "prediction.predict": Row(
        prediction.predict,
        fixed(
            model=Tiny,
            split=small,
            views=lambda: data.Views(flip=True, shift=1),
            view=lambda: 7,
            batch_size=lambda: 5,
        ),
        dict(view=st.integers(0, 17), batch_size=st.none() | st.integers(1, 20)),
        slow=True,
    ),
    "stats.mean_interval": Row(
        stats.mean_interval,
        fixed(values=lambda: [0.9, 0.8, 0.7], confidence=lambda: 0.95, metric=lambda: None),
        dict(values=RESULTS, confidence=st.floats(0.5, 0.999)),
    ),
    "stats.paired_difference": Row(
        stats.paired_difference,
        fixed(
            baseline=lambda: [0.9, 0.8],
            treatment=lambda: [0.7, 0.9],
            confidence=lambda: 0.95,
            metric=lambda: None,
        ),
    ),
    "stats.bootstrap_interval": Row(
        stats.bootstrap_interval,
        fixed(
            values=lambda: [0.9, 0.8, 0.7, 0.9, 0.6, 0.5],
            confidence=lambda: 0.95,
            metric=lambda: None,
            resamples=lambda: 1000,
            seed=lambda: 0,
        ),
        dict(values=RESULTS, seed=SEEDS),
        slow=True,
    ),
    "stats.bootstrap_difference": Row(
        stats.bootstrap_difference,
        fixed(
            baseline=lambda: [0.9, 0.8, 0.7, 0.9, 0.6, 0.5],
            treatment=lambda: [0.9, 0.7, 0.7, 0.8, 0.6, 0.6],
            confidence=lambda: 0.95,
            metric=lambda: None,
            resamples=lambda: 1000,
            seed=lambda: 0,
        ),
        slow=True,
    ),
    "stats.p_value": Row(
        stats.p_value,
        fixed(differences=lambda: [0.1, 0.2, -0.1], metric=lambda: None),
        dict(differences=RESULTS),
    ),
    "stats.describe": Row(
        stats.describe,
        fixed(difference=lambda: stats.Interval(1.0, 0.5, 1.5, 5), unit=lambda: "points"),
    ),
    "stats.Interval.scaled": Row(
        lambda factor: stats.Interval(1.0, 0.5, 1.5, 5).scaled(factor), fixed(factor=lambda: 100)
    ),
    "power.power": Row(
        power.power,
        fixed(effect=lambda: 0.5, std=lambda: 1.0, count=lambda: 5, confidence=lambda: 0.95),
        dict(effect=st.floats(-1e3, 1e3), std=st.floats(1e-3, 1e3), count=st.integers(2, 1000)),
    ),
    "power.seeds_needed": Row(
        power.seeds_needed,
        fixed(effect=lambda: 0.5, std=lambda: 1.0, power=lambda: 0.8, confidence=lambda: 0.95),
        dict(effect=st.floats(0.05, 1e3), power=st.floats(0.1, 0.99)),
    ),
    "power.detectable": Row(
        power.detectable,
        fixed(std=lambda: 1.0, count=lambda: 5, power=lambda: 0.8, confidence=lambda: 0.95),
        dict(std=st.floats(1e-3, 1e3), count=st.integers(2, 1000)),
    ),
    "comparisons.compare": Row(
        comparisons.compare,
        fixed(
            baseline=lambda: [0.9, 0.8],
            arms=lambda: {"a": [0.7, 0.9], "b": [0.5, 0.6]},
            confidence=lambda: 0.95,
            metric=lambda: None,
        ),
    ),
    "comparisons.holm": Row(
        comparisons.holm,
        fixed(p_values=lambda: [0.1, 0.01]),
        dict(p_values=st.lists(SHARES, min_size=1, max_size=9)),
    ),
    "arms.values": Row(
        arms.values, fixed(records=lambda: [a_record()], metric=lambda: "alone.accuracy")
    ),
    "arms.row": Row(arms.row, fixed(arm=lambda: {0: 0.9, 1: 0.8}, metric=lambda: None)),
    "arms.pairs": Row(
        arms.pairs,
        fixed(baseline=lambda: [0.9, 0.8], treatment=lambda: [0.7, 0.9], metric=lambda: None),
    ),
}


def entered(context: Any) -> Any:
    with context:
        yield 0


def a_record(**metrics: Any) -> dict[str, Any]:
    return {
        "notebook": "01_x",
        "profile": "full",
        "parameters": {"seeds": [0, 1], "dataset": "digits"},
        "metrics": {"alone": {"accuracy": [0.9, 0.8]}} | metrics,
        "environment": {"device": "cpu", "threads": 1, "versions": {"torch": "2"}},
        "seconds": 1.5,
    }


def a_split(**options: Any) -> data.Split:
    own = small()
    given = dict(
        images=own.images, labels=own.labels, mean=own.mean, std=own.std, classes=own.classes
    )
    made = data.Split(**given | options)
    _ = made.fingerprint
    return data.Split(made.take(2).images, made.take(2).labels, made.mean, made.std, made.classes)


def first_batches(**options: Any) -> list[data.Batch]:
    return list(data.batches(**options))


DATA = {
    "split.Split": Row(
        a_split,
        lambda **draws: (
            dict(
                images=small().images,
                labels=small().labels,
                mean=(0.3,),
                std=(0.25,),
                classes=("0", "1", "2"),
            )
            | draws
        ),
        slow=True,
    ),
    "split.Split.to": plain(lambda device: small().to(device), device="cpu"),
    "split.Split.take": Row(
        lambda count, seed: small().take(count, seed=seed),
        fixed(count=lambda: 5, seed=lambda: 0),
        dict(count=st.integers(1, 12), seed=SEEDS),
    ),
    "split.Split.normalise": Row(
        lambda images: small().normalise(images), fixed(images=lambda: small().images)
    ),
    "batching.Views": Row(
        lambda flip, shift, images, view: data.Views(flip=flip, shift=shift)(images, view),
        fixed(
            flip=lambda: True,
            shift=lambda: 1,
            images=lambda: small().images,
            view=lambda: torch.arange(12),
        ),
        dict(flip=st.just(True), shift=st.integers(1, 3)),
    ),
    "batching.batches": Row(
        first_batches,
        fixed(
            split=small,
            batch_size=lambda: 5,
            seed=lambda: 0,
            epoch=lambda: 0,
            views=lambda: data.Views(shift=1),
            channels_last=lambda: False,
            rank=lambda: 0,
            world_size=lambda: 1,
        ),
        dict(batch_size=st.integers(2, 20), seed=st.none() | SEEDS, epoch=st.integers(0, 99)),
        left=dict(channels_last=FLAG),
    ),
    "batching.steps_per_epoch": Row(
        data.steps_per_epoch,
        fixed(count=lambda: 100, batch_size=lambda: 7, world_size=lambda: 1),
        dict(count=st.integers(1, 10_000), batch_size=st.integers(1, 1000)),
    ),
    "data.load": Row(
        data.load,
        fixed(
            name=lambda: "digits",
            root=lambda: None,
            image_size=lambda: 8,
            validation=lambda: 100,
            seed=lambda: 0,
        ),
        dict(image_size=st.integers(8, 10), validation=st.integers(0, 1199)),
        (ValueError, DataError),
        left={"root": "digits need none; sources.data_root takes it apart"},
        slow=True,
    ),
    "data.mean_std": Row(data.mean_std, fixed(images=lambda: small().images)),
    "data.resize": Row(
        data.resize,
        fixed(images=lambda: small().images, size=lambda: 12),
        dict(size=st.integers(8, 40)),
    ),
    "sources.data_root": plain(sources.data_root, root="data"),
    "sources.downloaded": Row(
        sources.downloaded,
        fixed(name=lambda: "mnist", root=lambda: "empty"),
        errors=(ValueError, DataError),
        refused=True,
    ),
    "photodigits.compose": Row(
        photodigits.compose,
        fixed(
            digits=lambda: torch.ones(3, 8, 8, dtype=torch.uint8).numpy(),
            labels=lambda: torch.arange(3, dtype=torch.uint8).numpy(),
            count=lambda: 2,
            part=lambda: "left",
            seed=lambda: 0,
        ),
        slow=True,
    ),
    "pretrained.check": plain(pretrained.check, dataset="photodigits"),
    "pretrained.teacher_for": Row(
        pretrained.teacher_for, fixed(dataset=lambda: "photodigits"), errors=(ValueError, DataError)
    ),
}


def network(make: Callable[..., nn.Module], **shape: Any) -> Row:
    """A network is built, and asked about two images."""

    def call(images: Any, **options: Any) -> Tensor:
        return make(**options).eval()(images)

    channels, pixels = shape["in_channels"], shape["image_size"]
    passed_on = ("nan", "inf", "-inf", "3e+38", "-3e+38", "1e+30")
    return Row(
        call,
        lambda **draws: (
            shape | dict(num_classes=3, images=normal(2, channels, pixels, pixels)) | draws
        ),
        dict(num_classes=st.integers(2, 9)),
        left=dict(batch_norm=FLAG) if "batch_norm" in shape else {},
        slow=True,
        skipped=dict.fromkeys(
            (f"images: with {value}" for value in passed_on),
            "a network passes it on; pixels are bytes, and the losses refuse such logits",
        ),
    )


NETWORKS = {
    "models.names": plain(models.names),
    "models.image_size": plain(models.image_size, name="resnet18"),
    "models.build": Row(
        models.build,
        fixed(
            name=lambda: "fitnet_narrow_student",
            in_channels=lambda: 1,
            image_size=lambda: 16,
            num_classes=lambda: 3,
            seed=lambda: 0,
            width=lambda: 0.5,
            batch_norm=lambda: True,
        ),
        dict(num_classes=st.integers(2, 9), seed=st.none() | SEEDS, width=st.floats(0.1, 1)),
        left=dict(batch_norm=FLAG),
    ),
    "models.from_torchvision": Row(
        models.from_torchvision,
        fixed(
            name=lambda: "shufflenet_v2_x0_5",
            weights=lambda: None,
            num_classes=lambda: 3,
            seed=lambda: 0,
        ),
        errors=(ValueError, OSError),
        slow=True,
    ),
    "convnets.MNISTCNN": network(convnets.MNISTCNN, channels=(2, 3), in_channels=1, image_size=8),
    "convnets.LeNet": network(
        convnets.LeNet, channels=(2, 3), hidden=(4, 5), in_channels=1, image_size=32
    ),
    "convnets.PlainCNN": network(
        convnets.PlainCNN,
        channels=(2, 3),
        hidden=4,
        padding=1,
        width=1.0,
        in_channels=1,
        image_size=8,
    ),
    "vgg.VGG": network(
        vgg.VGG, blocks=((2,), (3,)), width=1.0, head="linear", in_channels=1, image_size=8
    ),
    "resnet.ResNet18": network(
        resnet.ResNet18, width=0.125, stem="cifar", in_channels=1, image_size=8
    ),
    "fitnets.FitNet": network(
        fitnets.FitNet,
        stages=((2,), (3,)),
        hidden=4,
        kernel_size=3,
        grid=2,
        batch_norm=True,
        width=1.0,
        in_channels=1,
        image_size=8,
    ),
    "side_by_side.SideBySide": Row(
        lambda networks: side_by_side.SideBySide(networks).eval()(normal(2, 2, 8, 8)),
        fixed(networks=lambda: [Tiny(), Tiny()]),
    ),
    "side_by_side.SideBySide.state_of": Row(
        lambda number: side_by_side.SideBySide([Tiny(), Tiny()]).state_of(number),
        fixed(number=lambda: 1),
    ),
}


def one_step(objective: distillation.Objective) -> Any:
    """What `fit` does with it, once."""
    train, views = small(), data.Views()
    objective.prepare(train, views, 2)
    objective.start_epoch(1, 2)
    batch = next(data.batches(train, 4, seed=0))
    return objective(Tiny(), batch), objective.figures(), objective.settings()


def regressor() -> features.Regressor:
    return features.Regressor(2, 2)


OBJECTIVES = {
    "distillation.Supervised": Row(
        lambda label_smoothing: one_step(distillation.Supervised(label_smoothing=label_smoothing)),
        fixed(label_smoothing=lambda: 0.1),
        dict(label_smoothing=st.floats(0, 0.99)),
    ),
    "distillation.Teacher": Row(
        lambda model, cache: one_step(
            distillation.Distillation(distillation.Teacher(model, cache=cache))
        ),
        fixed(model=Tiny, cache=lambda: None),
    ),
    "distillation.Teacher.of": Row(distillation.Teacher.of, fixed(teacher=Tiny)),
    "distillation.Teacher.prepare": Row(
        lambda **given: distillation.Teacher(Tiny()).prepare(**given),
        fixed(train=small, views=data.Views, epochs=lambda: 2),
    ),
    "distillation.Distillation": Row(
        lambda **options: one_step(distillation.Distillation(**options)),
        fixed(
            teacher=Tiny,
            temperature=lambda: 4.0,
            alpha=lambda: 0.9,
            soft_loss=lambda: losses.kd_loss,
        ),
        dict(temperature=TEMPERATURES, alpha=SHARES),
        skipped=functions("soft_loss"),
    ),
    "distillation.describe": Row(distillation.describe, fixed(factory=lambda: optimizers.adam)),
    "distillation.fingerprint": Row(distillation.fingerprint, fixed(model=Tiny)),
    "fading.Faded": Row(
        lambda **options: one_step(fading.Faded(**options)),
        fixed(
            objective=lambda: distillation.Distillation(Tiny()),
            term=lambda: "soft",
            first=lambda: 1.0,
            last=lambda: 0.0,
        ),
        dict(first=WEIGHTS, last=WEIGHTS),
        slow=True,
    ),
    "hints.LayerPair": Row(
        lambda **options: one_step(hints.Hint(Tiny(), hints.LayerPair(**options))),
        fixed(
            student_layer=lambda: "conv",
            teacher_layer=lambda: "conv",
            loss=lambda: losses.hint_loss,
            weight=lambda: 1.0,
            regressor=regressor,
        ),
        dict(weight=WEIGHTS),
        skipped=functions("loss") | {"regressor: network": "a network of another signature"},
        slow=True,
    ),
    "hints.LayerPair.forward": Row(
        lambda **given: hints.LayerPair("conv", "conv", regressor=regressor())(**given),
        fixed(
            student_features=lambda: normal(3, 2, 4, 4),
            teacher_features=lambda: normal(3, 2, 4, 4, seed=1),
        ),
    ),
    "hints.Hint": Row(
        lambda **options: one_step(hints.Hint(**options)),
        fixed(teacher=Tiny, pair=lambda: hints.LayerPair("conv", "norm")),
    ),
    "hints.WithFeatures": Row(
        lambda **options: one_step(hints.WithFeatures(**options)),
        fixed(
            objective=distillation.Supervised,
            teacher=Tiny,
            hint=lambda: hints.LayerPair("conv", "norm"),
        ),
    ),
    "hints.regressor_between": Row(
        hints.regressor_between,
        fixed(
            student=Tiny,
            teacher=Tiny,
            train=small,
            student_layer=lambda: "conv",
            teacher_layer=lambda: "norm",
            kernel_size=lambda: 1,
            seed=lambda: 0,
        ),
        dict(kernel_size=st.sampled_from([1, 3]), seed=SEEDS),
        slow=True,
    ),
    "controls.ShuffledTeacher": Row(
        lambda teacher, seed: one_step(
            distillation.Distillation(controls.ShuffledTeacher(teacher, seed=seed))
        ),
        fixed(teacher=Tiny, seed=lambda: 0),
        dict(seed=SEEDS),
    ),
    "controls.ShuffledTeacher.prepare": Row(
        lambda **given: controls.ShuffledTeacher(Tiny()).prepare(**given),
        fixed(train=small, views=data.Views, epochs=lambda: 2),
    ),
    "together.Together": Row(
        lambda objectives: together.Together(objectives).settings(),
        fixed(objectives=lambda: [distillation.Supervised()]),
    ),
}


def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([nn.Parameter(torch.zeros(2))], lr=0.1)


def scheduled(make: Callable[..., Any]) -> Row:
    def call(optimizer: Any, total_steps: Any) -> list[float]:
        schedule, rates = make(optimizer, total_steps), []
        for _ in range(min(int(total_steps), 40)):
            optimizer.step()
            schedule.step()
            rates += schedule.get_last_lr()
        return rates

    return Row(
        call,
        fixed(optimizer=optimizer, total_steps=lambda: 7),
        dict(total_steps=st.integers(1, 200)),
    )


def fitted(**options: Any) -> Any:
    student = options["student"]
    history = training.fit(**options)
    return history, student


STUDENT = dict(
    epochs=lambda: 1,
    batch_size=lambda: 6,
    lr=lambda: 1e-3,
    optimizer=lambda: optimizers.adam,
    schedule=lambda: None,
    views=data.Views,
    validation=small,
    device=lambda: "cpu",
    checkpoint=lambda: None,
    checkpoint_interval=lambda: 0.0,
    progress=lambda: False,
)
TRAINED = (ValueError, TrainingError, CheckpointError)

TRAINING = {
    "optimizers.one_cycle": scheduled(optimizers.one_cycle),
    "optimizers.cosine": scheduled(optimizers.cosine),
    "training.fit": Row(
        fitted,
        fixed(
            student=Tiny,
            objective=distillation.Supervised,
            train=small,
            **STUDENT,
            seed=lambda: 0,
            devices=lambda: 1,
            precision=lambda: "fp32",
            channels_last=lambda: True,
            ema=lambda: 0.0,
            fabric=lambda: None,
        ),
        dict(
            batch_size=st.integers(2, 20),
            lr=st.floats(1e-6, 1e-2),
            seed=SEEDS,
            ema=st.floats(0, 0.99),
        ),
        TRAINED,
        left=dict(progress=FLAG, channels_last=FLAG),
        skipped=functions("optimizer") | functions("schedule"),
        slow=True,
    ),
    "training.fit_together": Row(
        training.fit_together,
        fixed(
            students=lambda: [Tiny(), Tiny()],
            objectives=lambda: [distillation.Supervised(), distillation.Supervised()],
            train=small,
            epochs=lambda: 1,
            device=lambda: "cpu",
            progress=lambda: False,
        ),
        errors=TRAINED,
        left=dict.fromkeys(("epochs", "device", "progress"), "as for fit, which it calls"),
        slow=True,
    ),
    "stacked.fit_stacked": Row(
        stacked.fit_stacked,
        fixed(
            students=lambda: [Tiny(), Tiny()],
            objectives=lambda: [distillation.Supervised(), distillation.Supervised()],
            trains=lambda: [small(), small()],
            seeds=lambda: [0, 1],
            **STUDENT,
        ),
        dict(seeds=st.tuples(SEEDS, SEEDS), batch_size=st.integers(2, 20)),
        TRAINED,
        left=dict(progress=FLAG),
        skipped=functions("optimizer") | functions("schedule"),
        slow=True,
    ),
    "devices.make_fabric": Row(
        devices.make_fabric, fixed(device=lambda: "cpu", precision=lambda: "fp32")
    ),
    "devices.check_several": Row(
        devices.check_several,
        fixed(device=lambda: "cpu", precision=lambda: "fp32", devices=lambda: 2),
    ),
    "checkpoint.save": Row(
        checkpoint.save,
        fixed(
            path=lambda: Path("run.pt"),
            parts=lambda: {"student": Tiny()},
            settings=lambda: {"lr": 0.1},
            history=lambda: [{"loss": 1.0}],
        ),
        errors=(ValueError, OSError),
    ),
    "checkpoint.load": Row(
        checkpoint.load,
        fixed(
            path=lambda: saved(), parts=lambda: {"student": Tiny()}, settings=lambda: {"lr": 0.1}
        ),
        errors=(ValueError, CheckpointError),
        slow=True,
    ),
}


def saved() -> Path:
    path = Path("saved.pt")
    checkpoint.save(path, {"student": Tiny()}, {"lr": 0.1}, [{"loss": 1.0}])
    return path


def a_plan() -> course.Plan:
    return course.plan(["01_lesson"])[0]


CHECKED = dict(
    seeds=[0, 1],
    control_seeds=[0, 1],
    temperature=4.0,
    temperatures=[1, 4],
    alpha=0.9,
    alphas=[0.5],
    transfer_size=10,
    transfer_sizes=[5],
    epochs=2,
    stem_epochs=0,
    students=["cnn_student"],
    few_seeds=[0],
    guided_layers=["conv"],
    variants=["hint"],
)
WRITTEN = dict(
    record_file="",
    notebook="01_lesson",
    parameters={"epochs": 3},
    metrics={"accuracy": 0.9},
    device="cpu",
    started=0.0,
)
OF_A_RUN = dict(notebook="01_x", profile="full", parameters={"seeds": [0]}, lesson="digest")

RECORDS = {
    "settings.check": plain(settings.check, available=50, fewest_seeds=2, **CHECKED),
    "grids.expand": Row(
        grids.expand,
        fixed(plan=a_plan, grid=lambda: {"epochs": [1, 2], "seed": ["0:3"]}, fixed=tuple),
        slow=True,
    ),
    "parameters.plain": plain(lambda value: parameters.plain(value, "it"), value=[1]),
    "parameters.convert": plain(parameters.convert, value="[1, 2]", kind="list[int]"),
    "parameters.read_file": Row(parameters.read_file, fixed(path=lambda: parameters_file())),
    "records.write_record": Row(
        records.write_record,
        fixed(**{k: lambda v=v: v for k, v in WRITTEN.items()}),
        errors=(ValueError, OSError),
        slow=True,
    ),
    "records.complete": Row(
        records.complete,
        fixed(
            path=lambda: written(),
            **{k: lambda v=v: v for k, v in OF_A_RUN.items()},
            seconds=lambda: 1.0,
        ),
        errors=(ValueError, OSError),
        slow=True,
    ),
    "records.belongs_to": plain(records.belongs_to, record=a_record(), **OF_A_RUN),
    "environment.environment": plain(environment.environment, device="cpu"),
    "records.load_records": plain(records.load_records, notebook="01_x", folder=Path()),
    "records.read_record": Row(records.read_record, fixed(path=lambda: written()), slow=True),
    "lessons.find_lessons": plain(lessons.find_lessons, names="1", root=None),
    "lessons.find_root": plain(lessons.find_root, start=None),
    "lessons.Lesson": Row(
        lambda path: (lessons.Lesson(path).parameters, lessons.Lesson(path).digest),
        fixed(path=lambda: Path("notebooks/01_lesson.ipynb")),
    ),
    "plans.plan": plain(
        course.plan,
        lessons="01_lesson",
        profile="quick",
        parameters={"epochs": 5},
        parameter_file=None,
    ),
    "plans.refine": Row(course.refine, fixed(plan=a_plan, parameters=lambda: {"epochs": 5})),
    "course.prepare_folder": Row(
        course.prepare_folder, fixed(out_dir=lambda: "runs", plans=lambda: [a_plan()])
    ),
    "sweeps.sweep": Row(
        sweeps.sweep,
        fixed(
            notebook=lambda: "01_lesson",
            grid=lambda: {"epochs": [1]},
            workers=lambda: 0,
            profile=lambda: "quick",
            parameters=lambda: None,
            parameter_file=lambda: None,
            out_dir=lambda: "runs",
            progress=lambda: False,
        ),
        left=dict(progress=FLAG),
        skipped=dict.fromkeys(("workers: None", "workers: NumPy's integer"), "right, and it runs"),
        refused=True,
        slow=True,
    ),
    "sweep_tables.rows": Row(sweep_tables.rows, fixed(folder=lambda: swept())),
    "report.report": Row(
        report.report,
        fixed(folder=lambda: written().parent, out=lambda: "report.html", metric=lambda: ""),
        slow=True,
    ),
    "files.write_bytes": Row(
        files.write_bytes,
        fixed(path=lambda: Path("file"), content=lambda: b"content"),
        errors=(ValueError, OSError),
    ),
    "files.write_text": Row(
        files.write_text,
        fixed(path=lambda: Path("file"), text=lambda: "text"),
        errors=(ValueError, OSError),
    ),
}


def parameters_file() -> Path:
    path = Path("values.yaml")
    path.write_text("epochs: 5\n", encoding="utf-8")
    return path


def swept() -> Path:
    folder = Path("swept")
    folder.mkdir(exist_ok=True)
    sweep_tables.write_list(folder, grids.expand(a_plan(), {"epochs": [1, 2]}))
    return folder


def written() -> Path:
    path = Path("runs") / "01_x.json"
    records.write_record(**WRITTEN | {"record_file": path})
    return path


RESULTS_FOLDER = Path(__file__).parent.parent / "results"


def recorded(lesson: str) -> dict[str, Any]:
    return records.load_records(lesson, RESULTS_FOLDER)[0]


def of_record(make: Callable[..., Any], lesson: str) -> Row:
    return Row(make, fixed(record=lambda: recorded(lesson)))


RUNS = {"100": [0.5, 0.6], "1000": [0.7, 0.8]}

TABLES = {
    "tables.percent": Row(
        tables.percent,
        fixed(interval=lambda: stats.Interval(1.0, 0.5, 1.5, 3), sign=lambda: True),
        left=dict(sign=FLAG),
    ),
    "tables.verdict": Row(
        tables.verdict, fixed(difference=lambda: stats.Interval(1.0, 0.5, 1.5, 3))
    ),
    "tables.compared": plain(tables.compared, baseline=[90.0, 91.0], values=[92.0, 94.0]),
    "tables.transfer_table": plain(tables.transfer_table, alone=RUNS, distilled=RUNS, teacher=0.9),
    "tables.arms_table": plain(
        tables.arms_table,
        arms={
            "alone": [{"accuracy": 0.5}, {"accuracy": 0.6}],
            "KD": [{"accuracy": 0.7, "seed": 0}, {"accuracy": 0.8, "seed": 1}],
        },
        baseline="alone",
        keys=("accuracy",),
    ),
    "tables.cost_table": plain(
        tables.cost_table,
        costs={"a": dict(parameters=10, macs=1e6, latency_ms=0.1, accuracy=0.9)},
    ),
    "tables.corrected_table": plain(
        tables.corrected_table, arms={"a": [0.5, 0.6], "b": [0.7, 0.8]}, baseline="a"
    ),
    "record_tables.sweep_table": of_record(record_tables.sweep_table, "02_temperature"),
    "record_tables.setup": of_record(record_tables.setup, "03_cifar10_vgg"),
    "record_tables.hints_table": of_record(record_tables.hints_table, "04_fitnets_hints"),
    "record_tables.provenance": of_record(record_tables.provenance, "01_mnist_kd"),
    "report.of_record": Row(
        report.of_record, fixed(record=a_record, name=lambda: "a.json"), slow=True
    ),
    "sliders.Slider": Row(
        sliders.Slider,
        fixed(
            draw=lambda: lambda value: None,
            values=lambda: [1.0, 2.0],
            value=lambda: 1.0,
            label=lambda: "T",
            alt=lambda: "a figure",
        ),
    ),
}

PICTURES = {
    f"plots.{name}": Row(
        drawn(getattr(plots, name)),
        lambda arguments=arguments, **draws: arguments | draws,
        slow=True,
    )
    for name, arguments in FIGURES.items()
}
PICTURES["plots.show"] = Row(
    plots.show,
    fixed(figure=lambda: Figure(figsize=(1, 1)), alt=lambda: "a square", dpi=lambda: 10),
    slow=True,
)

TABLE = LOSSES | HIDDEN | MEASURES | DATA | NETWORKS | OBJECTIVES | TRAINING | RECORDS | TABLES
TABLE |= PICTURES
