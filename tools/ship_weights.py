"""Train a network that ships with the course anew, and write its weights.

    python tools/ship_weights.py teacher FILE      VGG16 for PhotoDigits, a few minutes
    python tools/ship_weights.py student FILE      small_cnn for CIFAR-10, distilled: some ten
                                                   minutes, the data where KDHELPERS_DATA says

It gives a network as good, but not the same bits on every machine: to ship another one, put the
file in place of the one in `kdhelpers/models/weights` and the hash that is told where
`kdhelpers.models.shipped` has that of the old one.
"""

import argparse
import hashlib
import sys
from pathlib import Path

import torch
from torch import nn

from kdhelpers import data
from kdhelpers._files import atomic
from kdhelpers.data.batching import Views
from kdhelpers.evaluation import accuracy, predict
from kdhelpers.models.shipped import STUDENT, TEACHER
from kdhelpers.objectives.distillation import Distillation
from kdhelpers.objectives.objective import Supervised
from kdhelpers.objectives.shipped import shipped_teacher
from kdhelpers.training.fit import fit
from kdhelpers.training.optimizers import nesterov, one_cycle


def teacher(pictures: data.DataSet) -> nn.Module:
    """VGG16 at an eighth of its width, trained on labels."""
    model = TEACHER.network(seed=0)
    fit(
        model, Supervised(), pictures.train, epochs=16, batch_size=32, lr=0.03,
        optimizer=nesterov, schedule=one_cycle, views=Views(shift=1), device="cpu",
    )  # fmt: skip
    return model


def student(pictures: data.DataSet) -> nn.Module:
    """small_cnn, distilled from what VGG16 answered about all training pictures."""
    model, objective = STUDENT.network(seed=0), Distillation(shipped_teacher("cifar10"))
    fit(
        model, objective, pictures.train, epochs=30, batch_size=128, lr=2e-3,
        schedule=one_cycle, views=Views(flip=True), device="cpu", precision="fp32",
    )  # fmt: skip
    return model


KINDS = {"teacher": (teacher, TEACHER), "student": (student, STUDENT)}


def save(model: nn.Module, path: Path) -> str:
    """Write the weights in half precision; the SHA-256 of the file."""
    weights = {name: tensor.half() for name, tensor in model.state_dict().items()}
    with atomic(path) as partial:
        torch.save(weights, partial)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main(kind: str, path: Path) -> str:
    """Train, write the file and return what its hash is, with the accuracy reached."""
    train, shipped = KINDS[kind]
    pictures = data.load(shipped.dataset)
    model = train(pictures)
    right = accuracy(predict(model, pictures.test), pictures.test.labels)
    return f"{save(model, path)}  test accuracy {right:.4f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    sys.stdout.write(main(options.kind, options.file) + "\n")
