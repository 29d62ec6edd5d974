"""Train VGG16 on CIFAR-10, or take its weights, and write what it answers for every picture.

    python tools/record_teacher.py FILE --checkpoints FOLDER                    trains it first
    python tools/record_teacher.py FILE --weights WEIGHTS                       only records
    python tools/record_teacher.py FILE --checkpoints FOLDER --weights WEIGHTS --epochs 12 \
        --lr 0.06 --schedule cosine --seed 2                                    trains it on

FILE (.npz) then holds the logits of all training, validation and test pictures as they are and
mirrored, for `RecordedTeacher.load`. To ship them, put the file in place of
`kdhelpers/objectives/answers/cifar10_vgg16.npz` and the hash that is told into `SHA256` of
`kdhelpers.objectives.shipped`.

Training is `fit` on the 45,000 training pictures, mirrored and shifted by up to four pixels, with
Nesterov SGD in batches of 128; it takes a minute a pass on a data-centre GPU or several on a CPU,
in whatever precision serves the hardware. It ends with FOLDER/weights.pt. Stop it whenever you
like: the same command goes on. The teacher that ships was made in three such runs, each from the
weights of the one before: 24 epochs of `one_cycle` at 0.1 with seed 0, 9 epochs of a cosine over 26
from 0.1 with seed 1 (stopped there), and 12 of `cosine` from 0.06 with seed 2; nothing was chosen
by test pictures.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from torch import nn

from kdhelpers import data, models
from kdhelpers._files import atomic
from kdhelpers.data.batching import Views
from kdhelpers.data.sets import DataSet
from kdhelpers.evaluation import accuracy
from kdhelpers.objectives.frozen import fingerprint
from kdhelpers.objectives.objective import Supervised
from kdhelpers.objectives.recorded import RecordedTeacher
from kdhelpers.training.fit import fit
from kdhelpers.training.optimizers import cosine, nesterov, one_cycle

SCHEDULES = {"one_cycle": one_cycle, "cosine": cosine}
HELD = Views(flip=True)  # as they are, and mirrored


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--dataset", default="cifar10", choices=["cifar10", "photodigits"])
    parser.add_argument("--root", help="data root; default KDHELPERS_DATA, else data/")
    parser.add_argument("--weights", type=Path, help="to start from, or to record; a run.pt, too")
    parser.add_argument("--checkpoints", type=Path, help="train, and keep every epoch here")
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--schedule", default="one_cycle", choices=SCHEDULES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--width", type=float, default=1.0, help="less for a try")
    parser.add_argument("--note", default="", help="how the weights came about; kept in FILE")
    given = parser.parse_args()
    if given.weights is None and given.checkpoints is None:
        parser.error("give --checkpoints FOLDER to train, or --weights FILE to record, or both")
    return given


def train(model: nn.Module, pictures: DataSet, given: argparse.Namespace) -> None:
    """Train in place; the folder ends with the weights, in half precision."""
    fit(
        model, Supervised(), pictures.train, epochs=given.epochs, batch_size=128, lr=given.lr,
        optimizer=nesterov, schedule=SCHEDULES[given.schedule], seed=given.seed,
        views=Views(flip=True, shift=4), validation=pictures.validation,
        checkpoint=given.checkpoints / "run.pt", on_epoch=tell,
    )  # fmt: skip
    half = {
        name: t.half() if t.is_floating_point() else t for name, t in model.state_dict().items()
    }
    with atomic(given.checkpoints / "weights.pt") as partial:
        torch.save(half, partial)


def tell(row: dict[str, float]) -> None:
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


def record(model: nn.Module, pictures: DataSet, path: Path, **provenance: object) -> str:
    """Write the answers; their hash, and the accuracies of both views."""
    splits = {"validation": pictures.validation, "test": pictures.test}
    answers = RecordedTeacher.of(model, pictures.train, *splits.values(), views=HELD)
    figures = {}
    for name, split in splits.items():
        views = [answers.logits(split, view=view) for view in range(len(HELD))]
        for kind, logits in zip(("", ", mirrored", ", both"), [*views, sum(views)], strict=True):
            figures[name + kind] = accuracy(logits, split.labels)
    answers.save(path, accuracy=figures, **provenance)
    told = "  ".join(f"{name} {figure:.4f}" for name, figure in figures.items())
    return f"{answers.identity()}  {path.stat().st_size / 1e6:.2f} MB  {told}"


def main() -> None:
    given = arguments()
    pictures = data.load(given.dataset, root=given.root)
    model = models.build("vgg16", width=given.width, seed=given.seed)
    if given.weights:
        kept = torch.load(given.weights, map_location="cpu", weights_only=True)
        model.load_state_dict(kept.get("state", {}).get("student", kept))
    if given.checkpoints:
        given.checkpoints.mkdir(parents=True, exist_ok=True)
        train(model, pictures, given)
    recipe = {name: vars(given)[name] for name in ("epochs", "lr", "schedule", "seed")}
    about = dict(
        network="vgg16", width=given.width, dataset=given.dataset, weights=fingerprint(model),
        last_run=recipe if given.checkpoints else None, note=given.note,
    )  # fmt: skip
    sys.stdout.write(record(model, pictures, given.file, **about) + "\n")


if __name__ == "__main__":
    main()
