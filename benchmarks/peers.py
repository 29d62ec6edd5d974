"""Two published small experiments on CIFAR-10, repeated with this package beside what they print.

- "tutorial": PyTorch's own tutorial on knowledge distillation: networks of four and of two
  convolutions, Adam 1e-3, batch 128, 10 epochs. Beside the labels stands with weight 0.25 a soft
  term at T 2 ("distilled"), or a loss between the flattened outputs of the convolutions
  ("cosine") or between their maps ("regressor"). All 50,000 training images, as there; one teacher
  for all seeds, whose own accuracy is told, too.
- "haitongli": knowledge-distillation-pytorch (2018): a CNN of five layers with batch norm, Adam
  1e-3, batch 128, 30 epochs, T 20, alpha 0.9, and a soft term divided by the number of classes.
  Ours differs in the teacher (the recorded VGG16 in place of a ResNet18), in the augmentation (only
  mirrored: the recorded answers know no crops), and has 45,000 training images, not 50,000.

Both test after every epoch; the second one prints the *best* of these. So each run is told twice:
as it ended, and by its best test epoch, which is a choice made on the test images.

    python benchmarks/peers.py                          # what benchmarks/peers.json lacks is run
    python benchmarks/peers.py --peers tutorial --arms cosine regressor --precision fp32
    python benchmarks/peers.py --dataset photodigits --images 200 --epochs 1 --seeds 0 --out ""

A finished run is written to `--out` at once and not made again. The last line is one JSON object;
its ratios are our mean accuracy, as published, over the published one.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import kdhelpers as kd
from kdhelpers import data, losses

Runs = dict[str, dict[str, Any]]  # by seed: accuracies in %, precision, seconds
# images to train and to test, the teacher, and by arm what was measured on the way
Prepared = tuple[data.Split, data.Split, kd.Teacher, dict[str, Runs]]

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # the tutorial normalises with these


def network(
    channels: tuple[int, ...], pooled: tuple[int, ...], hidden: int, seed: int
) -> nn.Module:
    """The tutorial's networks: 3×3 convolutions, pooling after some, and two linear layers."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for number, (before, after) in enumerate(zip((3, *channels), channels, strict=False)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] * (number in pooled)
    flat = channels[-1] * 8 * 8
    layers += [nn.Flatten(), nn.Linear(flat, hidden), nn.ReLU(), nn.Dropout(0.1)]
    return nn.Sequential(*layers, nn.Linear(hidden, 10))


def kl_by_mean(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    """`KLDivLoss` with its default reduction, which divides by the classes, too."""
    return losses.kd_loss(student, teacher, temperature=temperature) / student.shape[1]


def cosine(student: Tensor, teacher: Tensor) -> Tensor:
    """`CosineEmbeddingLoss`, target 1, of (B, 1024) with (B, 2048) pooled to the same length."""
    target = torch.ones(len(student), device=student.device)
    return F.cosine_embedding_loss(student, F.avg_pool1d(teacher, 2), target)


def tutorial_objective(arm: str, teacher: kd.Teacher, seed: int) -> kd.Objective:
    """Layers "5" and "9" put out the maps of the last convolutions, "6" and "10" flatten them."""
    if arm == "distilled":
        return kd.Distillation(teacher, temperature=2, alpha=0.25)
    weight = 0.25 / 0.75  # times 0.75 the loss is theirs: to Adam the same, but for its epsilon
    if arm == "cosine":
        pair = kd.LayerPair("6", "10", loss=cosine, weight=weight)
    else:
        torch.manual_seed(100 + seed)  # not the numbers that the student began with
        regressor = nn.Conv2d(16, 32, 3, padding=1)
        pair = kd.LayerPair("5", "9", weight=weight, regressor=regressor)
    return kd.WithFeatures(kd.Supervised(), teacher, **{arm: pair})


@dataclass(frozen=True)
class Peer:
    """A published experiment; `published` has for each arm the accuracy in %, or its range."""

    published: dict[str, tuple[float, float]]
    best: bool  # it tells the best test epoch, not the last one
    epochs: int
    prepare: Callable[[data.DataSet, argparse.Namespace], Prepared]
    student: Callable[[str, int], nn.Module]
    objective: Callable[[str, kd.Teacher, int], kd.Objective]  # of an arm that has a teacher
    views: data.Views
    last: dict[str, float] = field(default_factory=dict)  # told beside the best


def trained(
    model: nn.Module, objective: kd.Objective, train: data.Split, test: data.Split,
    options: argparse.Namespace, *, epochs: int, **how: Any,
) -> dict[str, Any]:  # fmt: skip
    """Train a model; how it did on the test images, in which precision, in how many seconds."""
    history = kd.fit(
        model, objective, train, epochs=options.epochs or epochs, validation=test,
        precision=options.precision, **how,
    )  # fmt: skip
    tested = [100 * row["validation_accuracy"] for row in history]
    run = {"last": tested[-1], "best": max(tested), "precision": history.precision}
    return run | {"seconds": sum(row["seconds"] for row in history)}  # also of a kept one


def tutorial(pictures: data.DataSet, options: argparse.Namespace) -> Prepared:
    train, validation = pictures.train, pictures.validation
    pixels = torch.cat([train.images, validation.images])
    labels = torch.cat([train.labels, validation.labels])
    mean, std = IMAGENET
    whole = data.from_arrays(pixels, labels, classes=train.classes, mean=mean, std=std)
    whole = whole.take(min(options.images or len(whole), len(whole)))
    teacher = network((128, 64, 64, 32), (1, 3), 512, seed=0)
    test = replace(pictures.test, mean=mean, std=std)
    run = trained(
        teacher, kd.Supervised(), whole, test, options, epochs=10,
        run="peers-tutorial-teacher", checkpoint_dir=options.checkpoint_dir,
    )  # fmt: skip
    print(f"tutorial, teacher: {run}", flush=True)
    return whole, test, kd.Teacher(teacher, cache=True), {"teacher": {"0": run}}


def haitongli(pictures: data.DataSet, options: argparse.Namespace) -> Prepared:
    train = pictures.train.take(options.images or len(pictures.train))
    return train, pictures.test, kd.shipped_teacher(options.dataset), {}


PEERS = {
    "tutorial": Peer(
        {"teacher": (75.1, 75.6), "alone": (69.9, 70.4), "distilled": (70.2, 70.8),
         "cosine": (70.9, 71.5), "regressor": (70.8, 71.4)},
        False, 10, tutorial, lambda arm, seed: network((16, 16), (0, 1), 256, seed),
        tutorial_objective, data.Views(),
    ),
    "haitongli": Peer(
        {"alone": (84.74, 84.74), "distilled": (85.69, 85.69),
         "alone, dropout": (83.51, 83.51), "distilled, dropout": (84.49, 84.49)},
        True, 30, haitongli,
        lambda arm, seed: kd.build("norm_cnn", dropout=0.5 * ("dropout" in arm), seed=seed),
        lambda arm, teacher, seed: kd.Distillation(
            teacher, temperature=20, alpha=0.9, soft_loss=kl_by_mean
        ),
        data.Views(flip=True), {"alone": 83.7},
    ),
}  # fmt: skip


def table(found: dict[str, dict[str, Runs]]) -> str:
    """Ours beside theirs, in % ± the deviation over the seeds, as lines of Markdown."""
    titles = "experiment|arm|published|last epoch ± std|best test epoch ± std|precision|seeds"
    lines = [f"|{titles}|", "|---" * (titles.count("|") + 1) + "|"]
    for name, arms in found.items():
        peer = PEERS[name]
        for arm in [each for each in peer.published if each in arms]:
            runs, (low, high) = arms[arm].values(), peer.published[arm]
            told = f"{low:g}" if low == high else f"{low:g} to {high:g}"
            told += ", best" * peer.best
            told += f" ({peer.last[arm]:g} last)" if arm in peer.last else ""
            ours = [spread([run[kind] for run in runs]) for kind in ("last", "best")]
            precision = " and ".join(sorted({run["precision"] for run in runs}))
            cells = name, arm, told, *ours, precision, str(len(runs))
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def spread(accuracies: list[float]) -> str:
    mean = f"{statistics.mean(accuracies):.2f}"
    return f"{mean} ± {statistics.stdev(accuracies):.2f}" if len(accuracies) > 1 else mean


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    every = sorted({arm for peer in PEERS.values() for arm in peer.published} - {"teacher"})
    parser.add_argument("--arms", nargs="+", choices=every, default=every)
    parser.add_argument("--precision", default="auto", help="as fit takes it")
    parser.add_argument("--dataset", default="cifar10", choices=["cifar10", "photodigits"])
    parser.add_argument("--root", help="data root; default KDHELPERS_DATA, else data/")
    parser.add_argument("--images", type=int, help="so many images only, to train and to test")
    parser.add_argument("--epochs", type=int, help="in place of the published number")
    parser.add_argument("--checkpoint-dir", default="", help="the tutorial's teacher is kept there")
    parser.add_argument("--out", default=str(Path(__file__).with_suffix(".json")))
    options = parser.parse_args()
    out = Path(options.out) if options.out else None
    found = json.loads(out.read_text()) if out and out.exists() else {}
    pictures = kd.load(options.dataset, root=options.root)
    if options.images:
        few = pictures.test.take(min(options.images, len(pictures.test)))
        pictures = pictures._replace(test=few)
    for name in options.peers:
        peer, arms = PEERS[name], found.setdefault(name, {})
        prepared = cache(lambda peer=peer: peer.prepare(pictures, options))
        for seed in options.seeds:
            for arm in [each for each in peer.published if each in options.arms]:
                if str(seed) in arms.setdefault(arm, {}):
                    continue
                train, test, teacher, own = prepared()
                arms.update(own)
                alone = arm.startswith("alone")
                run = trained(
                    peer.student(arm, seed),
                    kd.Supervised() if alone else peer.objective(arm, teacher, seed),
                    train, test, options, epochs=peer.epochs, views=peer.views, seed=seed,
                    progress=False,
                )  # fmt: skip
                arms[arm][str(seed)] = run
                print(f"{name}, {arm}, seed {seed}: {run}", flush=True)
                if out:
                    out.write_text(json.dumps(found, indent=1) + "\n")
    print(table(found))
    ratios = {
        name: {
            arm: statistics.mean(
                run["best" if PEERS[name].best else "last"] for run in runs.values()
            )
            / statistics.mean(PEERS[name].published[arm])
            for arm, runs in arms.items()
        }
        for name, arms in found.items()
    }
    print(json.dumps({"benchmark": "peers", "runs": found, "ratios": ratios}))


if __name__ == "__main__":
    main()
