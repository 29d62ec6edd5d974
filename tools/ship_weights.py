"""Train the teacher that ships with the course anew, and write its weights.

    python tools/ship_teacher.py FILE      a few minutes

It gives a teacher as good, but not the same bits on every machine: to ship another one, put the
file in place of the one in `kdhelpers/models/weights` and the hash that is told into `SHA256` of
`kdhelpers.models.shipped`.
"""

import hashlib
import sys
from pathlib import Path

import torch
from torch import nn

from kdhelpers import data, models
from kdhelpers._files import atomic
from kdhelpers.data.batching import Views
from kdhelpers.evaluation import accuracy, predict
from kdhelpers.models.shipped import WIDTH
from kdhelpers.objectives.objective import Supervised
from kdhelpers.training.fit import fit
from kdhelpers.training.optimizers import nesterov, one_cycle


def trained(*, epochs: int = 16) -> nn.Module:
    """The teacher, trained anew."""
    model = models.build("vgg16", width=WIDTH, seed=0)
    fit(
        model, Supervised(), data.load("photodigits").train, epochs=epochs, batch_size=32, lr=0.03,
        optimizer=nesterov, schedule=one_cycle, views=Views(shift=1), device="cpu",
    )  # fmt: skip
    return model


def save(model: nn.Module, path: Path) -> str:
    """Write the weights in half precision; the SHA-256 of the file."""
    weights = {name: tensor.half() for name, tensor in model.state_dict().items()}
    with atomic(path) as partial:
        torch.save(weights, partial)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main(path: Path) -> str:
    """Train, write the file and return what `SHA256` would be for it, with the accuracy reached."""
    model, test = trained(), data.load("photodigits").test
    return f"{save(model, path)}  test accuracy {accuracy(predict(model, test), test.labels):.4f}"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tools/ship_teacher.py FILE")
    sys.stdout.write(main(Path(sys.argv[1])) + "\n")
