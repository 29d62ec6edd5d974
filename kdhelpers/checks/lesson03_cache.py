"""Lesson 03, cached logits: rows of a table [views, N, C] for the samples of a shuffled batch."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from kdhelpers.checks.exercise import Case, Exercise, Observation, mistake, numbers
from kdhelpers.checks.running import Answer, call, to_tensor


def look_up_made_of(
    *,
    row: Callable[[Tensor], Tensor] = lambda sample: sample,
    sheet: Callable[[Tensor], Tensor] = lambda view: view,
    pick: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda table, view, row: table[view, row],
    after: Callable[[Tensor], Tensor] = lambda logits: logits,
) -> Answer:
    """Logits [B, C] from these decisions; the defaults are right."""
    return lambda table, sample, view: after(pick(table, sheet(view), row(sample)))


def _position(index: Tensor) -> Tensor:
    return torch.arange(len(index))


def _unshuffled(table: Tensor, view: Tensor, row: Tensor) -> Tensor:
    return table[view, row][row.argsort()]


def _flat_the_other_way(table: Tensor, view: Tensor, row: Tensor) -> Tensor:
    return table.flatten(0, 1)[row * len(table) + view]


def _observe_look_up(answer: Answer, inputs: dict[str, Any]) -> Observation:
    wanted = "the logits, a tensor [B, C]; `torch.stack` makes one from a list of rows"
    return Observation(values={"logits": to_tensor(call(answer, inputs), wanted=wanted).detach()})


def _batch(seed: int, views: int, count: int, size: int, dtype: torch.dtype) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "table": numbers(seed, views, count, 3).to(dtype),
        "sample": torch.randperm(count, generator=generator)[:size],
        "view": torch.randint(views, (size,), generator=generator),
    }


def _look_up_case(
    views: int, count: int, size: int, dtype: torch.dtype, if_it_raises: str = ""
) -> Case:
    inputs = partial(_batch, 100 + views * count, views, count, size, dtype)
    return Case(inputs, if_it_raises=if_it_raises)


CACHED_LOGITS = Exercise(
    observe=_observe_look_up,
    reference=lambda table, sample, view: torch.stack(
        [table[v, s] for v, s in zip(view.tolist(), sample.tolist(), strict=True)]
    ),
    build=look_up_made_of,
    cases=(
        _look_up_case(4, 4, 3, torch.float32),
        _look_up_case(6, 6, 4, torch.float32),
        _look_up_case(
            2,
            8,
            5,
            torch.float32,
            if_it_raises=(
                "Your function runs with as many views as images and fails with 2 views of 8 "
                "images. The table is [views, N, C]: `view` numbers its first dimension, `sample` "
                "its second."
            ),
        ),
        _look_up_case(5, 4, 4, torch.float16),
    ),
    mistakes=(
        mistake(
            "You look up the position in the batch instead of `sample`. This is how shuffling "
            "misaligns a cache: row 0 of a shuffled batch is not image 0 of the data set.",
            depth=3,
            row=_position,
        ),
        mistake(
            "You do not use `view`: every row gets the teacher's logits for view 0. Teacher and "
            "student have to see the same view, each row its own.",
            depth=3,
            sheet=torch.zeros_like,
        ),
        mistake(
            "Every row gets the view of the first row. Each row of the batch has its own: index "
            "with the whole of `view`.",
            sheet=lambda view: view[:1].expand_as(view),
        ),
        mistake(
            "You average over the views. The student sees one of them: look up the teacher's "
            "logits for that one.",
            pick=lambda table, view, row: table.mean(dim=0)[row],
        ),
        mistake(
            "The two indices are swapped. The table is [views, N, C]: `table[view, sample]`.",
            pick=lambda table, view, row: table[row, view],
        ),
        mistake(
            "The stride of your flat index is that of a table [N, views, C]. This one is "
            "[views, N, C]: `view * N + sample`, or simply `table[view, sample]`.",
            pick=_flat_the_other_way,
        ),
        mistake(
            "You get [B, B, C], every view of the batch with every sample of it. Give both indices "
            "in one pair of brackets, and they go in step: `table[view, sample]`.",
            pick=lambda table, view, row: table[view][:, row],
        ),
        mistake(
            "You get the whole sheet of each row's view, [B, N, C]. Pick the sample as well: "
            "`table[view, sample]`.",
            pick=lambda table, view, row: table[view],
        ),
        mistake(
            "You get all views of each sample, [views, B, C]. Pick the view of each row as well: "
            "`table[view, sample]`.",
            pick=lambda table, view, row: table[:, row],
        ),
        mistake(
            "You sort the samples, and their views stay where they were. Keep the order of the "
            "batch: its images and labels are in that order, too.",
            row=lambda sample: sample.sort().values,
        ),
        mistake(
            "The logits come in the order of the data set. Keep the order of the batch: its "
            "images and labels are in that order, too.",
            pick=_unshuffled,
        ),
        mistake(
            "These are probabilities. Return the logits as they are in the table; the loss "
            "divides them by T first.",
            after=lambda logits: logits.softmax(dim=-1),
        ),
        mistake(
            "This is the teacher's class for each row. Return the logits of all classes.",
            after=lambda logits: logits.argmax(dim=-1),
        ),
    ),
    praise=(
        "a cache addressed by sample and view gives the same logits in whatever order the images "
        "come."
    ),
    tips={"logits": "Row b holds the logits of image `sample[b]` in the view `view[b]`."},
)
