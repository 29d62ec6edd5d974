"""Objectives that teach hidden layers: FitNets' two stages, and joint training with any loss.

    regressor = regressor_between(student, teacher, train, "stage2.1", "stage2.0")
    guided = LayerPair("stage2.1", "stage2.0", regressor=regressor)

    fit(student, Hint(teacher, guided), train, epochs=5, checkpoint="stage1.pt")
    fit(student, Faded(Distillation(teacher)), train, epochs=15, checkpoint="stage2.pt")

    fit(student, WithFeatures(Distillation(teacher), teacher, hint=guided), train, epochs=20)

The first two calls of `fit` are the paper's stages; the last trains everything jointly. Hidden
features are computed anew in every step, or kept where a `Hint` is told to: of few images they take
little memory, of 50,000 gigabytes.
"""

from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from kdhelpers import _tensors
from kdhelpers._values import check_callable, check_type, check_weights, require
from kdhelpers.data.batching import Batch, Views
from kdhelpers.data.split import Split
from kdhelpers.evaluation import evaluating, taking, unwrapped
from kdhelpers.losses.features import hint_loss
from kdhelpers.models.features import Regressor, capture, check_runs_once
from kdhelpers.objectives.frozen import fingerprint
from kdhelpers.objectives.objective import Objective, Terms, describe, settings_around
from kdhelpers.objectives.teacher import Teacher, as_teacher

FeatureLoss = Callable[[Tensor, Tensor], Tensor]
Guides = Callable[[Tensor], dict[str, Tensor]]  # what the teacher's layers say of a batch


class LayerPair(nn.Module):
    """A layer of the student, the teacher's layer that guides it, and the loss between them.

    Args:
        student_layer, teacher_layer: dotted paths, as for `capture`.
        loss: called as `loss(student_features, teacher_features)`, a scalar; default `hint_loss`.
            Parameters of a loss that is a module are trained too, and where it has a method
            `figures() -> dict[str, float]`, the history tells these.
        weight: factor of the loss; usual are 1 for a hint, 1000 for attention transfer, 3000 for
            similarity preserving, 1 for relational distillation.
        regressor: maps the student's features to the teacher's shape first (see
            `regressor_between`). It is trained with the student and is no part of it.

    Raises:
        ValueError: a negative weight, a path that is no text, a loss that cannot be called or a
            regressor that is no network; when called, features that do not fit the regressor or the
            loss.
    """

    def __init__(
        self,
        student_layer: str,
        teacher_layer: str,
        *,
        loss: FeatureLoss = hint_loss,
        weight: float = 1.0,
        regressor: nn.Module | None = None,
    ) -> None:
        super().__init__()
        check_weights(weight=weight)
        check_type(student_layer, str, name="student_layer")
        check_type(teacher_layer, str, name="teacher_layer")
        check_callable(loss, name="loss", called="loss(student_features, teacher_features)")
        if regressor is not None:
            _tensors.check_network(regressor, name="regressor")
        self.student_layer = student_layer
        self.teacher_layer = teacher_layer
        self.loss = loss
        self.weight = float(weight)
        self.regressor = regressor

    def forward(self, student_features: Tensor, teacher_features: Tensor) -> Tensor:
        """The weighted loss, a scalar."""
        if self.regressor is not None:
            with taking(self.regressor, student_features, "features"):
                student_features = self.regressor(student_features)
            own, wanted = tuple(student_features.shape), tuple(teacher_features.shape)
            told = f"the regressor turns {self.student_layer!r} into {own}, but the teacher's"
            told = f"{told} {self.teacher_layer!r} is {wanted}; make it with regressor_between."
            require(own == wanted, told)  # some losses would broadcast it
        return self.weight * self.loss(student_features, teacher_features)

    def figures(self) -> dict[str, float]:
        """What the loss has to tell of the last epoch."""
        told = getattr(self.loss, "figures", None)
        return dict(told()) if callable(told) else {}

    def settings(self) -> dict[str, Any]:
        """Plain values, for the settings of an objective."""
        layers = f"{self.student_layer} from {self.teacher_layer}"
        return {"layers": layers, "loss": describe(self.loss), "weight": self.weight} | {
            "regressor": fingerprint(nn.ModuleList(self.children()))
        }


class Hint(Objective):
    """FitNets' first stage: the student's lower half learns what the teacher's hidden layer says.

    The one term is `hint`. Both networks run only as far as their layer of the pair. So the
    student's later layers get no gradient and keep their weights (no weight decay either, as
    PyTorch's optimisers skip parameters without a gradient) and the running statistics of their
    batch normalisation; and the rest of the teacher costs nothing. The student's logits, and with
    them a validation accuracy, mean nothing before the second stage.

    Args:
        teacher: the network; always in eval mode, without gradients.
        pair: the layers, the regressor and the loss.
        keep: whether the teacher sees every image once, and its `Teacher` keeps what the layer says
            in half precision: N·C·H·W·2 bytes for N images. Default False, anew in every step; so
            it is with more views than one, too, and for images that an objective has changed.

    Raises:
        ValueError: a teacher that is or has no network, or a pair that is none; before training, a
            layer that is not there, or that runs more than once in a pass.
    Source: Romero et al. 2014, arXiv 1412.6550. Their second stage is
    `Faded(Distillation(teacher, temperature=3, alpha=4 / 13), last=0.25)`: without the T² of our
    soft term, theirs weighs 4 times the hard one at first and as much as it at last.
    """

    needs_labels = False

    def __init__(
        self, teacher: nn.Module | Teacher, pair: LayerPair, *, keep: bool = False
    ) -> None:
        super().__init__()
        check_type(pair, LayerPair, name="pair")
        self.teacher = with_layers(teacher)
        self.pair, self.keep = pair, keep
        self._guides: Guides | None = None
        self._kept: Tensor | None = None
        self._kept_of = "", Views()

    def check(self, student: nn.Module, train: Split) -> None:
        _check_layers(student, self.teacher, [self.pair], train)

    def prepare(self, train: Split, views: Views, epochs: int) -> None:
        guides = self._guides = guides_of(self.teacher, [self.pair], train.images.device)
        self._kept = None
        if self.keep and len(views) == 1:
            layer, each = self.pair.teacher_layer, train.images.split(128)

            def compute() -> Tensor:
                said = torch.cat([guides(train.normalise(few))[layer].half() for few in each])
                told = f"half precision, which ends at 65,504, cannot keep all that {layer!r} says"
                require(not said.isinf().any(), f"{told}; give keep=False.")
                return said

            self._kept = self.teacher.remembered(train, layer, compute)
            self._kept_of = train.fingerprint, views

    def forward(self, student: nn.Module, batch: Batch) -> Terms:
        student = unwrapped(student)
        if self._kept is not None and batch.is_of(*self._kept_of) and batch.is_as_made():
            wanted = self._kept[batch.sample].float()
        else:
            device = batch.inputs.device
            guides = self._guides or guides_of(self.teacher, [self.pair], device)
            wanted = guides(batch.inputs)[self.pair.teacher_layer]
        with capture(student, self.pair.student_layer, stop_at_deepest=True) as own:
            student(batch.inputs)
        return {"hint": self.pair(own[self.pair.student_layer], wanted)}

    def figures(self) -> dict[str, float]:
        return self.pair.figures()

    def settings(self) -> dict[str, Any]:
        kept = {"features": "kept"} if self.keep else {}
        told = super().settings() | self.pair.settings() | kept
        return told | {"teacher": self.teacher.identity()}


class WithFeatures(Objective):
    """Another objective and losses on hidden layers, trained jointly.

    The terms are those of `objective` and one by the name of each pair. The student runs once in a
    step, the teacher as far as the deepest of its layers that is needed: besides the run for its
    logits, if these are not kept (see `Teacher`). Its layers are shown what `objective` shows the
    student, mixed pictures, for one; where that is several times in a step, the last counts.

    Args:
        objective: what gives the other terms, `Distillation` or `Supervised`.
        teacher: the network that the features come from.
        pairs: `hint=LayerPair(…), attention=LayerPair(…)`.

    Raises:
        ValueError: no pair, or another type of argument; when called, a pair with the name of
            another term.
    """

    def __init__(
        self, objective: Objective, teacher: nn.Module | Teacher, **pairs: LayerPair
    ) -> None:
        super().__init__()
        require(pairs, "no features to match; give at least one pair, hint=LayerPair(…).")
        check_type(objective, Objective, name="objective")
        for name, pair in pairs.items():
            check_type(pair, LayerPair, name=name)
        self.objective = objective
        self.teacher = with_layers(teacher)
        self.pairs = pairs
        self._registered = nn.ModuleList(pairs.values())
        self._guides: Guides | None = None

    @property
    def needs_labels(self) -> bool:  # type: ignore[override]
        return self.objective.needs_labels

    def check(self, student: nn.Module, train: Split) -> None:
        _check_layers(student, self.teacher, self.pairs.values(), train)
        self.objective.check(student, train)

    def prepare(self, train: Split, views: Views, epochs: int) -> None:
        self._guides = guides_of(self.teacher, self.pairs.values(), train.images.device)
        self.objective.prepare(train, views, epochs)

    def start_epoch(self, epoch: int, epochs: int) -> None:
        self.objective.start_epoch(epoch, epochs)

    def forward(self, student: nn.Module, batch: Batch) -> Terms:
        pairs, student, device = self.pairs, unwrapped(student), batch.inputs.device
        ask = self._guides or guides_of(self.teacher, pairs.values(), device)
        guides: dict[str, Tensor] = {}

        def show(_student: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
            guides.update(ask((*inputs, *named.values())[0]))  # before it is changed in place

        with (
            student.register_forward_pre_hook(show, with_kwargs=True),
            capture(student, *(pair.student_layer for pair in pairs.values())) as own,
        ):
            terms: Terms = self.objective(student, batch)
        if taken := terms.keys() & pairs.keys():
            raise ValueError(f"the objective already has a term {min(taken)!r}; rename the pair.")
        return terms | {
            name: pair(own[pair.student_layer], guides[pair.teacher_layer])
            for name, pair in pairs.items()
        }

    def figures(self) -> dict[str, float]:
        told = self.objective.figures()
        for name, pair in self.pairs.items():
            told |= {f"{name}_{key}": value for key, value in pair.figures().items()}
        return told

    def settings(self) -> dict[str, Any]:
        mine = {"features_of": self.teacher.identity()}
        for name, pair in self.pairs.items():
            mine |= {f"{name} {key}": value for key, value in pair.settings().items()}
        return settings_around(self.objective, " with features", mine)


def regressor_between(
    student: nn.Module,
    teacher: nn.Module | Teacher,
    train: Split,
    student_layer: str,
    teacher_layer: str,
    *,
    kernel_size: int = 1,
) -> Regressor:
    """A regressor from a layer of the student to the size of a layer of the teacher.

    Both networks see two images of `train`, in eval mode; nothing of them changes. It begins at
    zero: from random weights `hint_loss` would first teach the student to be silent.

    Args:
        train: any split with images that both networks take.

    Raises:
        ValueError: an unknown layer, one whose output is no map (B, channels, H, W), networks
            that do not take the images, a kernel other than 1 or 3, or another type of argument.
    """
    check_type(train, Split, name="train")
    if isinstance(teacher, Teacher):  # other threads may be asking it, too
        teacher = teacher.frozen(train.images.device)
    images = train.normalise(train.images[:2])
    with taking(student, images):
        own = _outputs(student, [student_layer], images)[student_layer]
    with taking(teacher, images):
        guide = _outputs(teacher, [teacher_layer], images)[teacher_layer]
    for whose, layer, said in ("student", student_layer, own), ("teacher", teacher_layer, guide):
        told = f"the {whose}'s {layer!r} must have the shape (batch, channels, height, width)"
        remedy = "between tokens or vectors take LayerPair(…, regressor=nn.Linear(32, 64))"
        require(said.ndim == 4, f"{told}, but has {tuple(said.shape)}; {remedy}.")
    height, width = guide.shape[2:]
    return Regressor(own.shape[1], guide.shape[1], size=(height, width), kernel_size=kernel_size)


def with_layers(teacher: nn.Module | Teacher) -> Teacher:
    """A teacher that has hidden layers."""
    found = as_teacher(teacher)
    told = "recorded or shuffled answers have no hidden layers to learn from"
    require(found.model is not None, f"{told}; give the teacher's network.")
    return found


def guides_of(teacher: Teacher, pairs: Iterable[LayerPair], device: torch.device) -> Guides:
    """What the teacher's layers of some pairs say of images."""
    return partial(_outputs, teacher.frozen(device), [pair.teacher_layer for pair in pairs])


def _check_layers(
    student: nn.Module, teacher: Teacher, pairs: Collection[LayerPair], train: Split
) -> None:
    """Refuse layers that are not there, or have no one output, and a regressor that would not
    learn, before the teacher's long work."""
    networks = student, teacher.frozen(train.images.device)
    layers = [pair.student_layer for pair in pairs], [pair.teacher_layer for pair in pairs]
    for network, paths in zip(map(unwrapped, networks), layers, strict=True):
        images = train.normalise(train.images[:2]).to(next(network.parameters()).device)
        with evaluating(network), taking(network, images):
            check_runs_once(network, paths, images)
    if any(pair.regressor is not None for pair in pairs):
        images = train.normalise(train.images[:8])  # some losses compare images with each other
        own, guides = (_outputs(*each, images) for each in zip(networks, layers, strict=True))
        for pair in pairs:
            _check_moves(pair, own[pair.student_layer], guides[pair.teacher_layer])


def _check_moves(pair: LayerPair, own: Tensor, guide: Tensor) -> None:
    """Refuse a regressor that begins at zero and that its loss would leave there."""
    if pair.regressor is None:
        return
    weights = [each for each in pair.regressor.parameters() if each.requires_grad]
    with evaluating(pair), torch.enable_grad():
        with taking(pair.regressor, own, "features"):
            begun = not weights or pair.regressor(own).any()
        if begun:
            return
        loss = pair(own, guide)
        found = torch.autograd.grad(loss, weights, allow_unused=True) if loss.requires_grad else ()
    told = f"the loss of {pair.student_layer!r} has no gradient where its regressor begins, at zero"
    told = f"{told}; let it begin elsewhere: regressor.convolution.reset_parameters()."
    require(any(each is not None and each.any() for each in found), told)


def _outputs(network: nn.Module, layers: Iterable[str], inputs: Tensor) -> dict[str, Tensor]:
    """What these layers of a network in eval mode put out, without autocast, as logits are; it runs
    no further than the deepest."""
    network = unwrapped(network)  # compiled code does not call hooks
    device = next((p.device for p in network.parameters()), inputs.device)
    with (
        evaluating(network),
        torch.autocast(device.type, enabled=False),
        capture(network, *layers, stop_at_deepest=True) as features,
    ):
        network(inputs.to(device, copy=True))  # which a network may change in place
    return features
