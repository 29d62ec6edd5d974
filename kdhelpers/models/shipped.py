"""A teacher whose weights ship with the course, so that its training blocks nobody.

    python tools/ship_teacher.py FILE      trains one anew (a few minutes) and writes it there

`photodigits_vgg16.pt` is VGG16 at an eighth of its width, trained on the training pictures of
PhotoDigits by `trained`; it is read as plain tensors and checked against `SHA256`. Training it anew
gives a teacher as good, but not the same bits on every machine: to ship another one, put the file
in its place and the hash that is told into `SHA256`.
"""

import hashlib
import io
from importlib import resources

import torch
from torch import nn

from kdhelpers._values import require, short_repr
from kdhelpers.models.build import build

FILE = "photodigits_vgg16.pt"
SHA256 = "72d2c6a3da3d6b40051fb8af52c5bec7e99cf4afb166e9c3d53f56b6a8294fae"
WIDTH = 0.125


def teacher_for(dataset: str) -> nn.Module:
    """The teacher that ships with the course, on the CPU: VGG16 at an eighth of its width.

    Raises:
        ValueError: there is none for this data set.
        OSError: the file is missing or not the one that belongs to this version.
    """
    told = f"no teacher for {short_repr(dataset)} ships with the course, only for 'photodigits'"
    require(dataset == "photodigits", f"{told}; set teacher_epochs to train one.")
    try:
        content = (resources.files("kdhelpers.models") / "weights" / FILE).read_bytes()
    except OSError as error:
        raise OSError(f"the teacher's weights '{FILE}' are missing; install again.") from error
    if hashlib.sha256(content).hexdigest() != SHA256:
        told = f"the teacher's weights '{FILE}' were altered; install again, or in a checkout"
        raise OSError(f"{told} `git restore kdhelpers/models/weights`.")
    model = build("vgg16", width=WIDTH)
    weights = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    model.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    return model
