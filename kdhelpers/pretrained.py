"""A teacher whose weights ship with the course, so that its training blocks nobody.

    python -m kdhelpers.pretrained FILE      trains one anew (a few minutes) and writes it there

`photodigits_vgg16.pt` is VGG16 at an eighth of its width, trained on the training pictures of
PhotoDigits by `trained`; it is read as plain tensors and checked against `SHA256`. Training it anew
gives a teacher as good, but not the same bits on every machine: to ship another one, put the file
in its place and the hash that is told into `SHA256`.
"""

import hashlib
import io
from importlib import resources
from pathlib import Path

import torch
from torch import nn

from kdhelpers import data, models
from kdhelpers._values import told
from kdhelpers.data import Views
from kdhelpers.distillation import Supervised
from kdhelpers.evaluation import accuracy
from kdhelpers.files import atomic
from kdhelpers.optimizers import nesterov, one_cycle
from kdhelpers.prediction import predict
from kdhelpers.sources import DataError
from kdhelpers.training import fit

FILE = "photodigits_vgg16.pt"
SHA256 = "72d2c6a3da3d6b40051fb8af52c5bec7e99cf4afb166e9c3d53f56b6a8294fae"
WIDTH = 0.125


def check(dataset: str) -> None:
    """Raise ValueError unless a teacher for this data set ships with the course."""
    if not isinstance(dataset, str) or dataset != "photodigits":
        raise ValueError(
            f"no teacher for {told(dataset)} ships with the course, only for 'photodigits'; set "
            "teacher_epochs to train one."
        )


def teacher_for(dataset: str) -> nn.Module:
    """The teacher that ships with the course, on the CPU: VGG16 at an eighth of its width.

    Raises:
        ValueError: there is none for this data set.
        DataError: the file is missing or not the one that belongs to this version.
    """
    check(dataset)
    try:
        content = (resources.files("kdhelpers") / "weights" / FILE).read_bytes()
    except OSError as error:
        raise DataError(f"the teacher's weights '{FILE}' are missing; install again.") from error
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise DataError(
            f"the teacher's weights '{FILE}' were altered; install again, or in a checkout "
            "`git restore kdhelpers/weights`."
        )
    model = models.build("vgg16", width=WIDTH)
    weights = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    model.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    return model


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
    import sys

    if len(sys.argv) != 2:
        sys.exit("usage: python -m kdhelpers.pretrained FILE")
    sys.stdout.write(main(Path(sys.argv[1])) + "\n")
