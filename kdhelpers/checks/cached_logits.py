"""Lesson 03: `answer(table, sample, view)` → logits [B, C] for a shuffled batch.

The table is [views, N, C]; sample [B] is the number of each row's image in the data set, view
[B] that of its view.
"""

from typing import Any

import torch
from torch import Tensor

from kdhelpers.checks.exercise import Case, Exercise, Mistakes, Way, numbers, returned


def solution(
    table: Tensor,
    sample: Tensor,
    view: Tensor,
    *,
    row: Way = lambda sample: sample,
    sheet: Way = lambda view: view,
    pick: Way = lambda table, view, row: table[view, row],
) -> Any:
    return pick(table, sheet(view), row(sample))


def _batch(views: int, count: int, size: int, dtype: torch.dtype) -> dict[str, Any]:
    seed = 100 + views * count
    generator = torch.Generator().manual_seed(seed)
    return {
        "table": numbers(seed, views, count, 3).to(dtype),
        "sample": torch.randperm(count, generator=generator)[:size],
        "view": torch.randint(views, (size,), generator=generator),
    }


# fmt: off
MISTAKES: Mistakes = {
    "You look up the position in the batch instead of `sample`. This is how shuffling misaligns a "
    "cache: row 0 of a shuffled batch is not image 0 of the data set.":
        dict(depth=3, row=lambda sample: torch.arange(len(sample))),
    "You do not use `view`: every row gets the teacher's logits for view 0. Teacher and student "
    "have to see the same view, each row its own.": dict(depth=3, sheet=torch.zeros_like),
    "Every row gets the view of the first row. Each row of the batch has its own: index with the "
    "whole of `view`.": dict(sheet=lambda view: view[:1].expand_as(view)),
    "You average over the views. The student sees one of them: look up the teacher's logits for "
    "that one.": dict(pick=lambda table, view, row: table.mean(dim=0)[row]),
    "You index with the views and then, in a second pair of brackets, pick rows of what came out. "
    "Give both indices in one pair: `table[view, sample]`.":
        dict(pick=lambda table, view, row: table[view][row]),
    "Every row gets the teacher's logits for the last view. Each row of the batch has its own: "
    "index with `view`.": dict(pick=lambda table, view, row: table[-1, row]),
    "You take the largest logits over the views. The student sees one of them: look up the "
    "teacher's logits for that one.": dict(pick=lambda table, view, row: table.amax(0)[row]),
    **{
        f"`{name}` is shifted by one. Both count from 0, as the table does: use it as it is.": [
            {decision: lambda index, by=by: (index + by).clamp(min=-1)} for by in (-1, 1)
        ]
        for name, decision in (("sample", "row"), ("view", "sheet"))
    },
    "You sort the views, and their samples stay where they were. Keep the order of the batch.":
        dict(sheet=lambda view: view.sort().values),
    "`sample` and `view` are exchanged, and wrapped so that they fit. The table is [views, N, C]: "
    "`table[view, sample]`.":
        [dict(pick=lambda table, view, row: table[row % len(table), view]),
         dict(pick=lambda table, view, row: table[row % len(table), view % table.shape[1]])],
    "`sample` is forced below the size of the batch. It numbers the images of the whole data set: "
    "use it as it is.":
        [dict(row=lambda sample: sample.clamp(max=len(sample) - 1)),
         dict(row=lambda sample: sample % len(sample))],
    "`argsort` gives places in the batch, no numbers of images. Index with `sample` itself.":
        dict(row=lambda sample: sample.argsort()),
    "Your flat index lacks a stride: each view takes up N rows. Use `view * N + sample`, or "
    "simply `table[view, sample]`.":
        dict(pick=lambda table, view, row: table.flatten(0, 1)[view + row]),
    "The stride of your flat index is that of a table [N, views, C]. This one is [views, N, C]: "
    "`view * N + sample`, or simply `table[view, sample]`.":
        dict(pick=lambda table, view, row: table.flatten(0, 1)[row * len(table) + view]),
    "You get [B, B, C], every view of the batch with every sample of it. Give both indices in one "
    "pair of brackets, and they go in step: `table[view, sample]`.":
        dict(pick=lambda table, view, row: table[view][:, row]),
    "You get the whole sheet of each row's view, [B, N, C]. Pick the sample as well: `table[view, "
    "sample]`.": dict(pick=lambda table, view, row: table[view]),
    "You get all views of each sample, [views, B, C]. Pick the view of each row as well: "
    "`table[view, sample]`.": dict(pick=lambda table, view, row: table[:, row]),
    "The samples are sorted, by `sort` or `unique`, and their views stay where they were. Keep "
    "the order of the batch: its images and labels are in that order, too.":
        dict(row=lambda sample: sample.sort().values),
    "The logits come in the order of the data set. Keep the order of the batch: its images and "
    "labels are in that order, too.":
        dict(pick=lambda table, view, row: table[view, row][row.argsort()]),
    "These are probabilities or their logarithms. Return the logits as they are in the table; the "
    "loss divides them by T first.":
        [dict(then=lambda logits: logits.softmax(dim=-1)),
         dict(then=lambda logits: logits.log_softmax(dim=-1))],
    "This is the teacher's class for each row. Return the logits of all classes.":
        dict(then=lambda logits: logits.argmax(dim=-1)),
}
# fmt: on

cached_logits = Exercise(
    task=__doc__,
    observe=returned(
        "logits", wanted="the logits, a tensor [B, C]; `torch.stack` makes one from a list of rows"
    ),
    solution=solution,
    cases=(
        *Case.each_of(_batch, (4, 4, 3, torch.float32), (6, 6, 4, torch.float32)),
        Case(
            lambda: _batch(2, 8, 5, torch.float32),
            if_it_raises=(
                "Your function runs with as many views as images and fails with 2 views of 8 "
                "images. The table is [views, N, C]: `view` numbers its first dimension, `sample` "
                "its second."
            ),
        ),
        Case(lambda: _batch(5, 4, 4, torch.float16)),
    ),
    mistakes=MISTAKES,
    praise=(
        "a cache addressed by sample and view gives the same logits in whatever order the images "
        "come."
    ),
    tips={"logits": "Row b holds the logits of image `sample[b]` in the view `view[b]`."},
)
