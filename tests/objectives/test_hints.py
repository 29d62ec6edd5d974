"""Hints in two stages, joint training with features, and the ways in which they go wrong."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from small_data import interrupted_at, same, split, weights
from torch import Tensor, nn

from kdhelpers.data.batching import Batch, Views, batches
from kdhelpers.data.split import Split
from kdhelpers.losses.features import (
    attention_transfer_loss,
    hint_loss,
    relational_loss,
    similarity_loss,
)
from kdhelpers.losses.logits import kd_loss
from kdhelpers.models import initial_weights
from kdhelpers.models.features import Regressor, capture
from kdhelpers.models.fitnets import FitNet
from kdhelpers.objectives.distillation import Distillation, Faded
from kdhelpers.objectives.hints import Hint, LayerPair, WithFeatures, regressor_between
from kdhelpers.objectives.objective import Supervised
from kdhelpers.objectives.teacher import ASKED, Teacher
from kdhelpers.training.checkpoint import CheckpointError
from kdhelpers.training.fit import fit

fit = partial(fit, device="cpu", progress=False)

STUDENT, TEACHER = ((4, 4), (6, 6, 6), (8, 8)), ((8,), (12,), (12,))
GUIDED, GUIDE = "stage2.2", "stage2.0"  # the hint layers of these two
SMALL = {"in_channels": 1, "image_size": 8, "num_classes": 3}
AFTER = ("stage3", "head")


def network(stages: Any, *, seed: int = 0, **options: Any) -> FitNet:
    with initial_weights(seed):
        return FitNet(stages, **SMALL | options)


def student(seed: int = 1, **options: Any) -> FitNet:
    return network(STUDENT, seed=seed, **options)


def teacher(seed: int = 2) -> FitNet:
    return network(TEACHER, seed=seed, grid=2)


def pair(**options: Any) -> LayerPair:
    regressor = regressor_between(student(), teacher(), split(), GUIDED, GUIDE)
    return LayerPair(GUIDED, GUIDE, **{"regressor": regressor} | options)


def batch(count: int = 16, seed: int = 0) -> Batch:
    return next(batches(split(), count, seed=seed))


class Counted:
    """How many images each part of a network saw, while training or while evaluating."""

    def __init__(self, model: nn.Module) -> None:
        self.training: dict[str, int] = {}
        self.evaluating: dict[str, int] = {}
        for name, module in model.named_modules():
            module.register_forward_hook(partial(self._count, name))

    def __deepcopy__(self, memo: Any) -> "Counted":
        return self  # a teacher's copy counts with it

    def _count(self, name: str, module: nn.Module, inputs: tuple[Tensor], _: Tensor) -> None:
        seen = self.training if module.training else self.evaluating
        seen[name] = seen.get(name, 0) + len(inputs[0])


class Spy(nn.Module):
    """A hint loss that keeps what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, student_features: Tensor, teacher_features: Tensor) -> Tensor:
        self.seen.append((student_features, teacher_features))
        return hint_loss(student_features, teacher_features)


# -- stage 1 --------------------------------------------------------------------------------------

OPTIMIZERS = [
    partial(torch.optim.AdamW, weight_decay=0.5, fused=True),
    partial(torch.optim.SGD, momentum=0.9, weight_decay=0.5),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("batch_norm", [True, False])
def test_stage_1_trains_the_layers_up_to_the_guided_one_and_no_other(
    optimizer: Callable[..., Any], batch_norm: bool
) -> None:
    taught, guided = student(batch_norm=batch_norm), pair()
    objective = Hint(teacher(), guided)
    assert {id(p) for p in objective.parameters()} == {id(p) for p in guided.parameters()}
    before, regressor = weights(taught), weights(guided)
    fit(
        taught, objective, split(), epochs=2, batch_size=16, optimizer=optimizer,
        validation=split(seed=1),
    )  # fmt: skip
    after = weights(taught)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if not name.startswith(AFTER)}
    assert not any(torch.equal(regressor[name], weights(guided)[name]) for name in regressor)


def test_stage_1_stops_both_networks_at_their_layer() -> None:
    taught, guide = student(), teacher()
    in_student, in_teacher = Counted(taught), Counted(guide)
    fit(taught, Hint(guide, pair()), split(), epochs=2, batch_size=16)
    assert in_student.training[GUIDED] == 80
    looked = 2  # images that are asked about before, and 8 for the regressor
    assert in_teacher.evaluating[GUIDE] == 80 + looked + 8
    assert not in_teacher.training
    assert not [name for name in in_student.training if name.startswith(AFTER)]
    assert all(in_teacher.evaluating[name] == looked for name in in_teacher.evaluating
               if name.startswith(AFTER))  # fmt: skip


@pytest.mark.parametrize("joint", [False, True])
def test_in_bf16_the_teachers_layers_are_still_those_of_fp32(joint: bool) -> None:
    seen, spies = batch(), (Spy(), Spy())
    for spy, half in zip(spies, (False, True), strict=True):
        guide, guided = teacher(), pair(loss=spy)
        hint = WithFeatures(Supervised(), guide, hint=guided) if joint else Hint(guide, guided)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            hint(student(), seen)
    (own, wanted), (in_bf16, still) = (spy.seen[0] for spy in spies)
    assert own.dtype is torch.float32
    assert in_bf16.dtype is torch.bfloat16
    assert torch.equal(wanted, still)


def test_kept_features_are_those_of_each_image_and_are_computed_once_for_all_students() -> None:
    guide, guided, train = teacher(), pair(), split()
    in_teacher, oracle = Counted(guide), Teacher(guide)
    hints = [Hint(oracle, guided, keep=True) for _ in range(2)]
    for hint in hints:
        hint.prepare(train, Views(), 2)
        for seen in batches(train, 16, seed=3):
            kept, live = (each(student(), seen)["hint"] for each in (hint, Hint(guide, guided)))
            torch.testing.assert_close(kept, live, rtol=1e-3, atol=1e-4)
    asked, live = in_teacher.evaluating[GUIDE], 2 * len(train)
    assert asked - live - 2 * ASKED == len(train)  # with hooks, some tell who is asked
    other = LayerPair("stage1.1", "stage1.0", regressor=regressor_between(
        student(), guide, train, "stage1.1", "stage1.0"))  # fmt: skip
    again = Hint(oracle, other, keep=True)
    again.prepare(train, Views(), 2)
    assert again(student(), batch())["hint"].isfinite()


def test_no_kept_features_for_another_view_or_for_images_that_were_changed() -> None:
    guide, guided, train = teacher(), pair(), split()
    mirrored = Hint(guide, guided, keep=True)
    mirrored.prepare(train, views := Views(flip=True), 2)
    changed = Hint(guide, guided, keep=True)
    changed.prepare(train, Views(), 2)
    seen = batch()
    for hint, each in (
        (mirrored, next(batches(train, 16, seed=3, views=views))),
        (changed, next(batches(split(seed=9), 16))),
        (changed, seen._replace(inputs=seen.inputs.flip(0))),
    ):
        live = Hint(guide, guided)(student(), each)["hint"]
        assert torch.equal(hint(student(), each)["hint"], live)


def test_the_teacher_is_asked_in_eval_mode_and_builds_no_graph() -> None:
    guide, spy, seen = teacher().train(), Spy(), batch()
    Hint(guide, pair(loss=spy))(student(), seen)
    ((own, guides),) = spy.seen
    assert own.requires_grad
    assert not guides.requires_grad
    with torch.no_grad(), capture(guide.eval(), GUIDE, stop_at_deepest=True) as features:
        guide(seen.inputs)
    torch.testing.assert_close(guides, features[GUIDE])


# -- stage 2 --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "factors"),
    [({}, [1.0]), ({}, [1.0, 0.0]), ({}, [1.0, 0.5, 0.0]), ({"last": 0.25}, [1, 0.75, 0.5, 0.25])],
)
def test_the_soft_term_fades_in_equal_steps_to_nothing_or_to_the_last_factor(
    options: dict[str, float], factors: list[float]
) -> None:
    objective = Faded(Distillation(teacher()), **options)
    history = fit(student(), objective, split(), epochs=len(factors))
    assert [row["soft_factor"] for row in history] == factors
    for row in history:
        assert row["loss"] == pytest.approx(row["soft"] + row["hard"])


def test_the_factor_weighs_the_term_and_no_other() -> None:
    taught, seen = student().eval(), batch()
    plain = Distillation(teacher(), alpha=0.8, temperature=3.0)
    faded = Faded(plain, last=0.25)
    for epoch, ratio in ((0, 4.0), (2, 2.5), (4, 1.0)):  # the paper's λ falls from 4 to 1
        faded.start_epoch(epoch, 5)
        terms, expected = faded(taught, seen), plain(taught, seen)
        assert torch.equal(terms["hard"], expected["hard"])
        soft, hard = expected["soft"] / 0.8, expected["hard"] / 0.2
        torch.testing.assert_close(terms["soft"] / 0.2, ratio * soft)
        torch.testing.assert_close(terms["hard"] / 0.2, hard)


def test_what_is_inside_is_prepared_told_the_epoch_and_listened_to() -> None:
    class Inner(Supervised):
        calls: list[Any]

        def prepare(self, train: Split, views: Views, epochs: int) -> None:
            self.calls = [epochs]

        def start_epoch(self, epoch: int, epochs: int) -> None:
            self.calls.append((epoch, epochs))

        def figures(self) -> dict[str, float]:
            return {"calls": float(len(self.calls))}

    inner = Inner()
    objective = Faded(WithFeatures(inner, teacher(), hint=pair()), term="hint")
    history = fit(student(), objective, split(), epochs=2)
    assert inner.calls == [2, (0, 2), (1, 2)]
    assert [row["calls"] for row in history] == [2.0, 3.0]
    assert [row["hint_factor"] for row in history] == [1.0, 0.0]


def test_a_term_that_is_not_there_cannot_fade() -> None:
    with pytest.raises(ValueError, match=r"no term 'hint' to fade, it has \['soft', 'hard'\]"):
        Faded(Distillation(teacher()), term="hint")(student(), batch())


# -- joint training -------------------------------------------------------------------------------

FEATURE_LOSSES = [attention_transfer_loss, similarity_loss, relational_loss]


def test_joint_terms_are_those_of_the_objective_and_of_each_pair() -> None:
    taught, guide, seen, guided = student().eval(), teacher(), batch(), pair(weight=3.0)
    pairs = {loss.__name__: LayerPair(GUIDED, GUIDE, loss=loss) for loss in FEATURE_LOSSES}
    objective = WithFeatures(Distillation(guide, alpha=0.5), guide, hint=guided, **pairs)
    terms = objective(taught, seen)
    assert list(terms) == ["soft", "hard", "hint", *pairs]

    guide.eval()
    with torch.no_grad(), capture(guide, GUIDE) as guides:
        logits = guide(seen.inputs)
    with capture(taught, GUIDED) as own:
        own_logits = taught(seen.inputs)
    torch.testing.assert_close(terms["soft"], 0.5 * kd_loss(own_logits, logits))
    torch.testing.assert_close(terms["hard"], 0.5 * F.cross_entropy(own_logits, seen.labels))
    mapped = guided.regressor(own[GUIDED])
    torch.testing.assert_close(terms["hint"], 3 * F.mse_loss(mapped, guides[GUIDE]))
    for loss in FEATURE_LOSSES:
        torch.testing.assert_close(terms[loss.__name__], loss(own[GUIDED], guides[GUIDE]))


def test_one_forward_pass_of_the_student_gives_logits_and_features() -> None:
    taught, guide = student(), teacher()
    in_student, in_teacher = Counted(taught), Counted(guide)
    objective = WithFeatures(
        Supervised(), guide, hint=pair(), again=LayerPair("stage1.0", "stage1.0.conv",
        loss=attention_transfer_loss),
    )  # fmt: skip
    fit(taught, objective, split(), epochs=1, batch_size=16)
    assert in_student.training[""] == in_student.training[GUIDED] == 40
    assert in_teacher.evaluating[GUIDE] == 50  # with the ten that are asked about before
    assert all(in_teacher.evaluating[name] == 2 for name in in_teacher.evaluating
               if name.startswith(AFTER))  # fmt: skip


def test_both_networks_are_shown_the_pictures_that_the_objective_mixes() -> None:
    class Mixup(Supervised):
        def forward(self, student: nn.Module, batch: Batch) -> Any:
            mixed = batch.inputs.lerp(batch.inputs.flip(0), 0.4)
            return super().forward(student, batch._replace(inputs=mixed))

    taught = teacher().eval()  # who is also the teacher
    objective = WithFeatures(Mixup(), taught, hint=LayerPair(GUIDE, GUIDE))
    assert objective(taught, batch())["hint"] < 1e-12  # features of unit size, up to rounding
    assert not taught._forward_pre_hooks


def test_joint_training_learns_every_term_and_trains_every_parameter() -> None:
    guide, taught, guided = teacher(), student(), pair()
    fit(guide, Supervised(), split(100), epochs=3, batch_size=16, lr=1e-2)
    before, regressor = weights(taught), weights(guided)
    attention = LayerPair(GUIDED, GUIDE, loss=attention_transfer_loss, weight=1000)
    objective = WithFeatures(Distillation(guide), guide, hint=guided, attention=attention)
    history = fit(taught, objective, split(100), epochs=6, batch_size=16, lr=1e-2)
    for term in ("soft", "hard", "hint", "attention"):
        assert history[-1][term] < 0.8 * history[0][term]
    assert not any(torch.equal(before[name], weights(taught)[name]) for name in before)
    assert not any(torch.equal(regressor[name], weights(guided)[name]) for name in regressor)
    assert {id(p) for p in objective.parameters()} == {id(p) for p in guided.parameters()}


def test_the_names_of_terms_may_not_be_used_twice() -> None:
    objective = WithFeatures(Distillation(teacher()), teacher(), soft=pair())
    with pytest.raises(ValueError, match="already has a term 'soft'; rename the pair"):
        objective(student(), batch())


# -- the regressor, and the mistake on the teacher's side -----------------------------------------


def test_a_regressor_fits_between_its_layers() -> None:
    regressor = regressor_between(student(), teacher(), split(), "stage1.1", GUIDE)
    assert regressor(torch.ones(5, 4, 8, 8)).shape == (5, 12, 4, 4)
    wide = regressor_between(student(), teacher(), split(), GUIDED, GUIDE, kernel_size=3)
    assert wide.convolution.kernel_size == (3, 3)


def test_a_regressor_is_made_with_a_copy_of_a_teacher_that_threads_share() -> None:
    network = teacher()

    def refuse_itself(module: nn.Module, *_: Any) -> None:
        assert module is not network, "another thread may be asking it"

    network.register_forward_hook(refuse_itself)
    regressor = regressor_between(student(), Teacher(network), split(), GUIDED, GUIDE)
    assert regressor(torch.ones(5, 6, 4, 4)).shape == (5, 12, 4, 4)


class Size(nn.Module):
    """A hint loss that tells the root mean square of what it compared the student's side with."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0.0

    def forward(self, student_features: Tensor, teacher_features: Tensor) -> Tensor:
        self.size = student_features.detach().square().mean().sqrt().item()
        return hint_loss(student_features, teacher_features)

    def figures(self) -> dict[str, float]:
        return {"size": self.size}


class OnTheTeachersSide(Size):
    """The tutorials' mistake: a 1×1 convolution brings the teacher's features to the student's."""

    def __init__(self, student_channels: int, teacher_channels: int) -> None:
        super().__init__()
        with initial_weights(0):
            self.convolution = nn.Conv2d(teacher_channels, student_channels, 1)

    def forward(self, student_features: Tensor, teacher_features: Tensor) -> Tensor:
        aligned = self.convolution(teacher_features)
        self.size = aligned.detach().square().mean().sqrt().item()
        return F.mse_loss(student_features, aligned)


def test_on_the_teachers_side_both_sides_collapse_and_on_the_students_they_do_not() -> None:
    run = {"epochs": 8, "batch_size": 16, "lr": 2e-2}
    guide = teacher(seed=20)
    wrong = LayerPair(GUIDED, GUIDE, loss=OnTheTeachersSide(6, 12))
    collapsed = fit(student(), Hint(guide, wrong), split(100), **run)
    assert collapsed[-1]["hint"] < 0.05 * collapsed[0]["hint"]  # it looks as if it had learned
    assert collapsed[-1]["size"] < 0.5 * collapsed[0]["size"]

    right = pair(loss=Size())
    learned = fit(student(), Hint(guide, right), split(100), **run)
    assert learned[-1]["size"] > 0.7 * learned[0]["size"]
    assert learned[-1]["hint"] < 0.5 * learned[0]["hint"]
    assert learned[-1].keys() == {"epoch", "seconds", "loss", "hint", "size"}


def test_figures_of_a_loss_reach_the_history() -> None:
    objective = WithFeatures(Supervised(), teacher(), hint=pair(loss=Size()))
    history = fit(student(), objective, split(), epochs=2)
    assert [row["hint_size"] > 0 for row in history] == [False, True]  # from zero


# -- what is refused ------------------------------------------------------------------------------


def run(guided: LayerPair) -> None:
    Hint(teacher(), guided)(student(), batch())


@pytest.mark.parametrize(
    ("guided", "message"),
    [
        (LayerPair("stage2.3", GUIDE), "FitNet has no layer 'stage2.3'; did you mean"),
        (LayerPair(GUIDE, GUIDED), "FitNet has no layer 'stage2.2'; did you mean"),
        (LayerPair(GUIDED, GUIDE), "student's shape .* differs from the teacher's .* Regressor"),
        (
            LayerPair(GUIDED, GUIDE, regressor=Regressor(12, 6)),
            r"Regressor does not take features \[16, 6, 4, 4\]: .*to have 12 channels",
        ),
        (
            LayerPair("stage1.1", GUIDE, regressor=Regressor(4, 12)),
            r"turns 'stage1.1' into \(16, 12, 8, 8\), but the teacher's 'stage2.0' is "
            r"\(16, 12, 4, 4\); make it with regressor_between",
        ),
        (
            LayerPair("head", GUIDE, regressor=Regressor(3, 12)),
            r"Regressor does not take features \[16, 3\]: ",
        ),
        (
            LayerPair(GUIDED, "head", regressor=Regressor(6, 3)),
            r"turns 'stage2.2' into \(16, 3, 4, 4\), but the teacher's 'head' is \(16, 3\)",
        ),
    ],
)
def test_pairs_that_do_not_fit_are_one_sentence(guided: LayerPair, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        run(guided)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("loss", FEATURE_LOSSES)
@pytest.mark.parametrize("joint", [True, False])
def test_a_regressor_that_would_stay_at_zero_is_refused(loss: Any, joint: bool) -> None:
    def train(guided: LayerPair) -> list[float]:
        hint, joined = Hint(teacher(), guided), partial(WithFeatures, Supervised(), teacher())
        history = fit(student(), joined(hint=guided) if joint else hint, split(), epochs=4, lr=0.01)
        return [row["hint"] for row in history]

    stuck = pair(loss=loss)
    with pytest.raises(ValueError, match=r"where its regressor begins, at zero; .*reset_parameter"):
        train(stuck)
    with initial_weights(0):
        stuck.regressor.convolution.reset_parameters()  # type: ignore[operator,union-attr]
    told = train(stuck)
    assert told[-1] < told[0]


def test_kept_features_that_half_precision_cannot_hold_are_told() -> None:
    loud = teacher()
    loud.get_submodule(GUIDE).register_forward_hook(lambda layer, given, said: said + 1e5)
    with pytest.raises(ValueError, match=f"65,504, cannot keep all that '{GUIDE}' says"):
        fit(student(), Hint(loud, pair(), keep=True), split(), epochs=1)


@pytest.mark.parametrize("layers", [("head", GUIDE), (GUIDED, "head")])
def test_no_regressor_can_be_made_for_layers_without_maps(layers: tuple[str, str]) -> None:
    told = r"'head' must have the shape \(batch, channels.*take LayerPair\(…, regressor=nn\.Linear"
    with pytest.raises(ValueError, match=told):
        regressor_between(student(), teacher(), split(), *layers)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Faded(Supervised(), first=-0.1), "first must be a number from 0 to"),
        (lambda: Faded(Supervised(), last=float("nan")), "last must be a number from 0 to"),
        (lambda: LayerPair(GUIDED, GUIDE, weight=-1.0), "weight must be a number from 0 to"),
        (lambda: WithFeatures(Supervised(), teacher()), r"one pair, hint=LayerPair\(…\)"),
        (lambda: WithFeatures(Supervised(), teacher(), hint=hint_loss), "hint must be a LayerPair"),
        (lambda: Hint(teacher(), hint_loss), "pair must be a LayerPair"),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


# -- interrupted and resumed ----------------------------------------------------------------------


def two_stages(folder: Path | None) -> tuple[FitNet, list[float]]:
    """Both stages, two epochs of three steps each, started from nothing but their files."""
    files = [folder and folder / name for name in ("stage1.pt", "stage2.pt")]
    common: dict[str, Any] = {"epochs": 2, "batch_size": 16, "views": Views(flip=True), "lr": 1e-2}
    taught, guide = student(), teacher()
    first, second = Hint(guide, pair()), Faded(Distillation(guide))
    told = fit(taught, first, split(), checkpoint=files[0], seed=3, **common)
    told += fit(taught, second, split(), checkpoint=files[1], seed=4, **common)
    return taught, [row["loss"] for row in told]


def test_interrupted_and_resumed_ends_with_the_same_bits(tmp_path: Path) -> None:
    straight, expected = two_stages(None)
    for step in (4, 7):  # in stage 1, of which three steps remain; then as far in stage 2
        with interrupted_at(step):
            two_stages(tmp_path)
    for _ in range(2):  # the second time it is complete
        resumed, told = two_stages(tmp_path)
        assert same(weights(straight), weights(resumed))
        assert told == expected


def joint(folder: Path | None) -> FitNet:
    taught, guide = student(), teacher()
    inner = WithFeatures(Distillation(guide), guide, hint=pair())
    objective = Faded(inner, term="hint")
    fit(taught, objective, split(), epochs=3, batch_size=16, checkpoint=folder and folder / "j.pt")
    return taught


def test_joint_training_resumes_with_its_regressor(tmp_path: Path) -> None:
    with interrupted_at(5):
        joint(tmp_path)
    assert same(weights(joint(None)), weights(joint(tmp_path)))


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("begun") / "run.pt"
    fit(student(), Hint(teacher(), pair()), split(), epochs=1, checkpoint=path)
    return path


@pytest.mark.parametrize(
    ("objective", "named"),
    [
        (lambda: Hint(teacher(seed=5), pair()), "teacher"),
        (lambda: Hint(teacher(), pair(weight=2.0)), "weight"),
        (lambda: Hint(teacher(), pair(loss=Spy())), "loss"),
        (lambda: Hint(teacher(), LayerPair("stage2.1", GUIDE, regressor=Regressor(6, 12))), "la"),
        (
            lambda: Hint(teacher(), LayerPair(GUIDED, GUIDE, regressor=Regressor(6, 12))),
            "regre.* anew",
        ),
        (lambda: WithFeatures(Supervised(), teacher(), hint=pair()), "features_of"),
        (lambda: Faded(Hint(teacher(), pair()), term="hint"), "faded"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(
    begun: Path, objective: Callable[[], Any], named: str
) -> None:
    with pytest.raises(CheckpointError, match=f"belongs to another run: its {named}"):
        fit(student(), objective(), split(), epochs=1, checkpoint=begun)


def nested(*, seed: int = 2, last: float = 0.0) -> Any:
    """An objective within others of its kind; the one in the middle differs."""
    joint: Any = Supervised()
    for name, number, factor in (("n0", 2, 0.0), ("n1", seed, last), ("n2", 2, 0.0)):
        joint = WithFeatures(joint, teacher(number), **{name: pair()})
        joint = Faded(joint, term=name, last=factor)
    return joint


@pytest.mark.parametrize(
    ("other", "epochs", "named"),
    [({"seed": 5}, 1, "outer features_of"), ({"last": 1}, 1, "outer faded"), ({}, 2, "faded")],
)
def test_a_faded_run_that_differs_inside_or_in_length_is_refused(
    tmp_path: Path, other: dict[str, Any], epochs: int, named: str
) -> None:
    path = tmp_path / "run.pt"
    fit(student(), nested(), split(), epochs=1, checkpoint=path)
    with pytest.raises(CheckpointError, match=f"belongs to another run: its {named}"):
        fit(student(), nested(**other), split(), epochs=epochs, checkpoint=path)


# -- told before the teacher's long work ----------------------------------------------------------


class Twice(nn.Module):
    """A network whose activation runs twice in a pass."""

    def __init__(self) -> None:
        super().__init__()
        self.relu, self.head = nn.ReLU(), nn.Linear(64, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.relu(self.head(self.relu(images.flatten(1))))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (LayerPair("relu", "head"), "'relu' of Twice runs 2 times in a pass"),
        (LayerPair("head", "relu"), "'relu' of Twice runs 2 times in a pass"),
        (LayerPair("haed", "head"), "no layer 'haed'; did you mean 'head'"),
    ],
)
def test_layers_are_looked_at_before_the_teachers_long_work(wrong: LayerPair, message: str) -> None:
    teacher = Teacher(Twice(), cache=True)
    joint = WithFeatures(Distillation(teacher), teacher, hint=wrong)
    for objective in (Hint(teacher, wrong, keep=True), joint):
        with pytest.raises(ValueError, match=message):
            fit(Twice(), objective, split(), epochs=1)
    assert not teacher._tables
