"""A teacher without a network: what it answered before, in a file or in memory."""

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn

from kdhelpers._files import atomic, file_at
from kdhelpers._values import check_type, require, short_path, short_repr
from kdhelpers.data.batching import Views
from kdhelpers.data.split import Split
from kdhelpers.objectives.teacher import LookUp, Teacher, as_teacher

FORMAT = 1
LOWEST = torch.finfo(torch.half).min
REMEDY = "record them with RecordedTeacher.of(network, split, views=…)"


class _Rows(NamedTuple):
    """Logits float32 [views, M, C] of the samples `indices` [M], ascending, of a data set."""

    indices: Tensor
    logits: Tensor


class RecordedTeacher(Teacher):
    """A `Teacher` from logits that were computed before, by whatever network or service.

        recorded = RecordedTeacher.of(teacher, digits.train, digits.test)
        recorded.save("teacher.npz", network="mnist_cnn_teacher")
        objective = Distillation(RecordedTeacher.load("teacher.npz"))

    It knows pictures by their content and place (`Split.source_fingerprint` and `indices`), so it
    serves every subset of a split that it holds, in any order. It has no network: hidden layers
    and pictures that an objective changes are refused.

    Args:
        logits: for each split its logits, [N, C] or [views, N, C], as a tensor, a NumPy array or
            lists; all of the same classes. Log-probabilities are logits, too. They are kept to half
            precision, as in a file.
        views: those that the answers are for (see `Views`); default the pictures as they are.

    Raises:
        ValueError: logits of another shape, that are not finite numbers or that half precision
            rounds away, two answers for one picture, or no split.
    """

    def __init__(self, logits: Mapping[Split, Any], *, views: Views | None = None) -> None:
        check_type(logits, Mapping, name="the logits by split")
        check_type(views, Views, type(None), name="views")
        require(logits, "there are no answers; give at least one split.")
        self._begin(views or Views(), {})
        for split, answers in logits.items():
            check_type(split, Split, name="split")
            values = _logits(answers, views=len(self.views), count=len(split))
            self._add(split.source_fingerprint, split.indices.cpu(), values)

    @classmethod
    def from_logits(cls, logits: Any, split: Split, *, views: Views | None = None) -> Self:
        """The answers for one split: `RecordedTeacher({split: logits})`."""
        check_type(split, Split, name="split")
        return cls({split: logits}, views=views)

    @classmethod
    def of(cls, teacher: nn.Module | Teacher, *splits: Split, views: Views | None = None) -> Self:
        """Ask a network, or another `Teacher`, about all images of some splits.

        Raises:
            ValueError: no network, no split, or images that the network does not take.
        """
        asked, wanted = as_teacher(teacher), views or Views()
        for split in splits:
            check_type(split, Split, name="split")
        numbers = range(len(wanted))  # not as a table, which a teacher that was given would keep
        answers = {
            split: torch.stack([asked.logits(split, views=wanted, view=v) for v in numbers])
            for split in splits
        }
        recorded = cls(answers, views=views)
        for split in splits:
            recorded.judge(LookUp(answers[split], recorded, split, wanted), split)
        return recorded

    def save(self, path: str | Path, /, **provenance: Any) -> None:
        """Write all answers as one compressed file of NumPy's (.npz), in half precision.

        Args:
            provenance: what a reader should know of the teacher, kept as JSON; a loaded teacher
                has it as its attribute `provenance`.

        Raises:
            ValueError: no file, or provenance that is not JSON.
            OSError: the file cannot be written.
        """
        path = file_at(path, "teacher.npz")
        arrays: dict[str, np.ndarray] = {}
        for number, (indices, logits) in enumerate(self._rows.values()):
            arrays[f"indices_{number}"] = np.diff(indices.numpy(), prepend=0)  # packs to nothing
            arrays[f"logits_{number}"] = logits.half().numpy()
        about = {"format": FORMAT, "views": vars(self.views), "splits": list(self._rows)}
        try:
            text = json.dumps(about | {"provenance": self.provenance | provenance})
        except (TypeError, ValueError) as error:
            raise ValueError(f"provenance must be plain values for JSON: {error}.") from error
        with atomic(path) as partial, partial.open("wb") as file:
            np.savez_compressed(file, about=np.array(text), **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: str | Path, *, sha256: str = "") -> Self:
        """The teacher that `save` wrote.

        Args:
            sha256: its `identity()`, if it must be this one and no other.

        Raises:
            ValueError: the file is damaged, was not written by `save`, or holds other answers.
            OSError: it is missing or may not be read.
        """
        path = file_at(path, "teacher.npz")
        told = short_path(path)
        loaded = cls.__new__(cls)
        try:
            loaded._read(path)
        except OSError:
            raise
        except Exception as error:
            reason = error if type(error) is ValueError else type(error).__name__
            told = f"{told} cannot be read as recorded answers ({reason})"
            raise ValueError(f"{told}; get it, or record it, anew.") from error
        found = loaded.identity()
        require(sha256 in ("", found), f"{told} holds the answers {found}, not {sha256}.")
        return loaded

    def _read(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            require(about["format"] == FORMAT, "written by another version")
            self._begin(Views(**about["views"]), dict(about["provenance"]))
            for number, source in enumerate(about["splits"]):
                steps = torch.from_numpy(file[f"indices_{number}"])
                require(steps.dtype == torch.int64 and steps.ndim == 1, "its indices are not whole")
                values = file[f"logits_{number}"]
                logits = _logits(values, views=len(self.views), count=len(steps))
                self._add(str(source), steps.cumsum(0), logits)
            require(self._rows, "it holds no split")

    def _begin(self, views: Views, provenance: dict[str, Any]) -> None:
        self.model, self.cache, self._classes = None, True, {}
        self.views, self.provenance = views, provenance
        self._rows: dict[str, _Rows] = {}

    def _add(self, source: str, indices: Tensor, logits: Tensor) -> None:
        if source in self._rows:
            indices = torch.cat([self._rows[source].indices, indices])
            logits = torch.cat([self._rows[source].logits, logits], 1)
        classes = {logits.shape[2], *(rows.logits.shape[2] for rows in self._rows.values())}
        told = f"the answers must be for the same classes, got {sorted(classes)} of them"
        require(len(classes) == 1, f"{told}; give all splits the columns of all classes.")
        distinct, first, at = np.unique(indices.numpy(), return_index=True, return_inverse=True)
        same = torch.allclose(logits[:, first[at]], logits, rtol=0.01, atol=0.01)  # but for batches
        require(same, "the answers for a picture differ; give each picture one.")
        self._rows[source] = _Rows(torch.from_numpy(distinct), logits[:, first].contiguous())

    @cached_property
    def _identity(self) -> str:
        digest = hashlib.sha256(repr(self.views).encode())
        for source in sorted(self._rows):
            indices, logits = self._rows[source]
            digest.update(f"{source} {tuple(logits.shape)}".encode())
            digest.update(indices.numpy().tobytes())
            digest.update(logits.numpy().tobytes())
        return digest.hexdigest()

    def identity(self, train: Split | None = None) -> str:
        """SHA-256 of all answers, and of what they are for."""
        return self._identity

    def table(self, train: Split, views: Views) -> Tensor:
        """The logits [views, N, C] of every sample in every view, on the device of `train`.

        Raises:
            ValueError: a split, a view or a sample that they lack.
        """
        check_type(train, Split, name="split")
        source = train.source_fingerprint
        counts = ", ".join(f"{each.logits.shape[1]:,}" for each in self._rows.values())
        told = f"the recorded answers are for other pictures ({counts} of them) than this split's"
        require(source in self._rows, f"{told}; {REMEDY}.")
        rows = self._rows[source]
        held = {self.views.place(view): view for view in range(len(self.views))}
        numbers = [held.get(views.place(view)) for view in range(len(views))]
        told = f"the recorded answers are for {self.views}, not for {views}"
        require(None not in numbers, f"{told}; {REMEDY}.")
        wanted = train.indices.cpu()
        at = torch.searchsorted(rows.indices, wanted).clamp(max=len(rows.indices) - 1)
        missing = wanted[rows.indices[at] != wanted].tolist()
        told = f"the recorded answers lack {len(missing):,} of these {len(wanted):,} pictures"
        require(not missing, f"{told}, such as number {missing[:1]}; {REMEDY}.")
        return rows.logits[numbers][:, at].to(train.images.device)

    def logits(self, split: Split, *, views: Views | None = None, view: int = 0) -> Tensor:
        """The logits [N, C] of all images of a split, in view number `view` of `views`.

        Default for `views`: those that it holds.

        Raises:
            ValueError: as for `table`, or views that have no such view.
        """
        views = self.views if views is None else views
        require(view in range(len(views)), f"{views} has no view {short_repr(view)}.")
        return self.table(split, views)[view]


def _logits(values: Any, *, views: int, count: int) -> Tensor:
    """Finite logits float32 [views, N, C] from whatever holds them."""
    shape = f"[{count}, C] or [{views}, {count}, C]" if views == 1 else f"[{views}, {count}, C]"
    if isinstance(values, Tensor):
        logits = values.detach().cpu()
    else:
        try:
            array = np.array(values)  # a copy: of any layout, and of any order of bytes
            logits = torch.from_numpy(array.astype("f4") if array.dtype.kind == "f" else array)
        except (TypeError, ValueError) as error:
            told = f"logits must be numbers {shape}, got {short_repr(values)}"
            raise ValueError(f"{told}.") from error
    if logits.ndim == 2 and views == 1:
        logits = logits[None]
    fits = logits.ndim == 3 and logits.shape[:2] == (views, count) and logits.shape[2] > 1
    told = f"logits must be floating point {shape}, got {logits.dtype} {list(logits.shape)}"
    require(fits and logits.is_floating_point(), f"{told}.")
    logits = logits.float()
    remedy = "for a probability of 0 give a logit such as -100"
    require(logits.isfinite().all(), f"logits must be finite numbers; {remedy}.")
    # As in a file, so that both teach the same; a class that is masked stays a number.
    half = logits.clamp(min=LOWEST).half().float().contiguous()
    kept = (half.softmax(-1) - logits.softmax(-1)).abs() <= 0.01  # no NaN is
    require(kept.all(), "half precision rounds these logits away; subtract each row's mean.")
    return half
