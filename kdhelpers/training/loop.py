"""The step that every training run repeats, and what it keeps from step to step."""

from collections.abc import Callable, Iterable
from functools import reduce
from operator import add
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm.auto import tqdm

from kdhelpers.data.batching import Batch
from kdhelpers.objectives.objective import Objective, Terms
from kdhelpers.training.optimizers import MakeOptimizer, MakeSchedule


class Loop:
    """Student, objective, optimiser and schedule of one run; `parts` is what a checkpoint keeps."""

    def __init__(
        self,
        fabric: Fabric,
        student: nn.Module,
        objective: Objective,
        optimizer: MakeOptimizer,
        schedule: MakeSchedule | None,
        total_steps: int,
        *,
        ema: float = 0.0,
        compile: bool = False,
    ) -> None:
        self.fabric = fabric
        self.student = student
        compiled = cast(nn.Module, torch.compile(student)) if compile else student
        step = _Step(compiled, objective)
        inner = optimizer(step.parameters())
        self.schedule = schedule(inner, total_steps) if schedule else None
        self.average: AveragedModel | None = None
        if ema:
            averaging = get_ema_multi_avg_fn(ema)
            self.average = AveragedModel(student, multi_avg_fn=averaging, use_buffers=True)
        self.parts: dict[str, Any] = {"student": student, "objective": objective}
        self.parts["optimizer"] = inner
        if self.schedule:
            self.parts["schedule"] = self.schedule
        if self.average:
            self.parts["average"] = self.average
        self.step: nn.Module = step
        self.optimizer: Optimizer = inner
        self.backward: Callable[[Tensor], Any] = torch.autograd.backward
        if fabric.world_size > 1 or fabric._precision.precision != "32-true":
            # In one process and single precision Fabric's wrappers do nothing, but cost a small
            # network a twentieth of its step.
            self.step, self.optimizer = fabric.setup(step, inner)
            self.backward = fabric.backward

    @property
    def result(self) -> nn.Module:
        """The network that training is for: the averaged one where there is one."""
        return cast(nn.Module, self.average.module) if self.average else self.student

    def epoch(self, stream: Iterable[Batch], bar: tqdm) -> dict[str, float]:
        """One pass; the terms stay on the device until its end, so that no step waits for them."""
        self.step.train()
        kept: dict[str, list[Tensor]] = {}
        sizes: list[int] = []
        for batch in stream:
            terms = self.step(batch)
            total = reduce(add, terms.values())
            self.backward(total if batch.share == 1.0 else total * batch.share)
            self.optimizer.step()
            self.optimizer.zero_grad()
            if self.schedule:
                self.schedule.step()
            if self.average:
                self.average.update_parameters(self.student)
            for name, term in terms.items():
                kept.setdefault(name, []).append(term.detach())
            sizes.append(len(batch.labels))
            bar.update()
        weights = torch.tensor(sizes, dtype=torch.float32, device=self.fabric.device)
        sums = [torch.stack(terms).float() @ weights for terms in kept.values()]
        totals = torch.stack([*sums, weights.sum()])
        totals = cast(Tensor, self.fabric.all_reduce(totals, reduce_op="sum"))
        *means, _ = (totals / totals[-1]).tolist()
        return {"loss": sum(means), **dict(zip(kept, means, strict=True))}


class _Step(nn.Module):
    """Student and objective as one module: several processes then average all gradients."""

    def __init__(self, student: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.student = student
        self.objective = objective

    def forward(self, batch: Batch) -> Terms:
        terms: Terms = self.objective(self.student, batch)
        return terms
