"""Networks whose weights ship with the course, so that their training blocks nobody.

    python tools/ship_weights.py teacher FILE      trains one anew and writes it there

The files lie in `weights`; each is read as plain tensors and checked against its hash. Training
anew gives a network as good, but not the same bits on every machine.
"""

import hashlib
import io
from dataclasses import dataclass
from importlib import resources
from typing import Any

import torch
from torch import nn

from kdhelpers._values import require, short_repr
from kdhelpers.models.build import build


@dataclass(frozen=True)
class Shipped:
    """A file of weights, the network that they belong to, and what it was trained on."""

    dataset: str
    name: str
    width: float
    sha256: str

    @property
    def file(self) -> str:
        return f"{self.dataset}_{self.name}.pt"

    def network(self, **options: Any) -> nn.Module:
        """Freshly initialised."""
        return build(self.name, width=self.width, **options)

    def load(self) -> nn.Module:
        try:
            content = (resources.files("kdhelpers.models") / "weights" / self.file).read_bytes()
        except OSError as error:
            raise OSError(f"the weights '{self.file}' are missing; install again.") from error
        if hashlib.sha256(content).hexdigest() != self.sha256:
            told = f"the weights '{self.file}' were altered; install again, or in a checkout"
            raise OSError(f"{told} `git restore kdhelpers/models/weights`.")
        weights = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        model = self.network()
        model.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
        return model


TEACHER = Shipped(
    "photodigits", "vgg16", 0.125,
    "72d2c6a3da3d6b40051fb8af52c5bec7e99cf4afb166e9c3d53f56b6a8294fae",
)  # fmt: skip
STUDENT = Shipped(
    "cifar10", "small_cnn", 1.0,
    "4ebeb204756a98977ceb147ed8d9d1f9415702face0b7543c4d224cc430d934e",
)  # fmt: skip


def teacher_for(dataset: str) -> nn.Module:
    """The teacher that ships with the course, on the CPU: VGG16 at an eighth of its width.

    Raises:
        ValueError: there is none for this data set.
        OSError: the file is missing or not the one that belongs to this version.
    """
    return _of(TEACHER, dataset, "teacher", "set teacher_epochs to train one")


def student_for(dataset: str) -> nn.Module:
    """The distilled student that ships with the course, on the CPU: `small_cnn` for CIFAR-10.

    It learned from what a full VGG16 answered about all 45,000 training pictures, 30 epochs
    (`tools/ship_weights.py`), and is right on 79.5 % of the test pictures. It is there for what
    comes after: export, serving, quantising.

    Raises:
        ValueError: there is none for this data set.
        OSError: the file is missing or not the one that belongs to this version.
    """
    return _of(STUDENT, dataset, "student", "distil one with kd.fit")


def _of(shipped: Shipped, dataset: str, role: str, remedy: str) -> nn.Module:
    told = f"no {role} for {short_repr(dataset)} ships with the course"
    require(dataset == shipped.dataset, f"{told}, only for {shipped.dataset!r}; {remedy}.")
    return shipped.load()
