"""A checkpoint knows own code by what it does: edited code is told, code run again is not."""

import copy
import py_compile
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from small_data import Small, same, split, weights
from torch import nn

import kdhelpers as kd
from kdhelpers.training import own_code as own
from kdhelpers.training.checkpoint import CheckpointError
from kdhelpers.training.own_code import own_code

CELL = """
import math
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F
import kdhelpers as kd

SHARPNESS = 2.0
LEVELS = {"low": [1, 2], "high": {3, 4}}
TABLE = np.array([1.0, 2.0])


def helper(x):
    return x * SHARPNESS + LEVELS["low"][0] + TABLE[0]


def soft_loss(student, teacher, *, temperature=4.0, weight=0.5):
    '''What it is.'''
    gap = [helper(s - t).square().mean() for s, t in zip(student, teacher)]
    return weight * torch.exp(torch.stack(gap).mean()) * temperature


def made(factor):
    return lambda student, teacher, temperature: factor * kd.losses.kd_loss(student, teacher)


closure = made(3.0)


class Own(kd.Supervised):
    factor = 1.0

    def __init__(self, power=1.0):
        super().__init__()
        self.power, self.calls = power, 0
        self.register_buffer("classes", torch.tensor([1.0, 1.0, 2.0]))

    def scaled(self, x):
        return self.factor * x ** self.power

    def forward(self, student, batch):
        self.calls += 1
        return {"hard": self.scaled(F.cross_entropy(student(batch.inputs), batch.labels))}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(64, 3)
        self.slope = 0.1

    def forward(self, x):
        return self.head(F.leaky_relu(x.flatten(1), self.slope))


objective = Own()
net = Net()
"""
THINGS = ("soft_loss", "closure", "objective", "net")


def names_after(code: str, **names: Any) -> dict[str, Any]:
    """The names of a notebook after a cell was run."""
    names["__name__"] = "__main__"
    exec(compile(code, "<cell>", "exec"), names)
    return names


def cell(old: str = "", new: str = "") -> dict[str, Any]:
    """The names of the cell, perhaps with an edit."""
    assert old in CELL
    return names_after(CELL.replace(old, new) if old else CELL)


def digests(names: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {thing: own_code([names[thing]]) for thing in THINGS}


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("torch.exp(", "torch.log(", "soft_loss"),
        ("SHARPNESS = 2.0", "SHARPNESS = 2.5", "soft_loss"),
        ("x * SHARPNESS", "x + SHARPNESS", "soft_loss"),
        ("[1, 2]", "[1.5, 2]", "soft_loss"),
        ("np.array([1.0", "np.array([1.5", "soft_loss"),
        ("helper(s - t)", "helper(t + s)", "soft_loss"),
        ("temperature=4.0", "temperature=5.0", "soft_loss"),
        ("weight=0.5", "weight=0.6", "soft_loss"),
        ("made(3.0)", "made(4.0)", "closure"),
        ("factor * kd", "factor + kd", "closure"),
        ("losses.kd_loss", "losses.logit_mse", "closure"),
        ("factor = 1.0", "factor = 1.5", "objective"),
        ("x ** self", "x * self", "objective"),
        ("Own()", "Own(2.0)", "objective"),
        ("[1.0, 1.0, 2.0]", "[1.0, 1.0, 3.0]", "objective"),
        ("slope = 0.1", "slope = 0.2", "net"),
        ("F.leaky_relu", "F.elu", "net"),
        ("net = Net()", "net = Net(); net.forward = lambda x: x", "net"),
        ("net = Net()", "net = Net(); net.head.register_forward_hook(lambda *_: None)", "net"),
        ("net = Net()", "net = Net(); net.head.register_forward_pre_hook(lambda *_: None)", "net"),
    ],
)
def test_edited_code_is_other_code(old: str, new: str, changed: str) -> None:
    before, after = digests(cell()), digests(cell(old, new))
    assert [thing for thing in THINGS if before[thing] != after[thing]] == [changed]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ("import math", "\n\nimport math  # a line further down"),
        ("'''What it is.'''", "'''What it does.'''"),
        ('{"low": [1, 2], "high": {3, 4}}', '{"low": [1, 2], "high": {4, 3}}'),
        ("net = Net()", "net = Net(); nn.init.zeros_(net.head.weight)"),  # the student's own print
    ],
)
def test_code_that_is_run_again_is_the_same(old: str, new: str) -> None:
    assert digests(cell(old, new)) == digests(cell())
    assert set(digests(cell())["net"]) == {"__main__.Net"}


def test_what_training_changes_is_no_other_code() -> None:
    objective = cell()["objective"]
    before = own_code([objective])
    kd.fit(Small(), objective, split(), epochs=1, device="cpu", progress=False)
    assert objective.calls > 0
    assert own_code([objective]) == before


def test_the_digest_is_the_same_in_another_process_and_from_compiled_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(CELL)
    py_compile.compile(str(tmp_path / "mine.py"))
    code = (
        "import mine; from kdhelpers.training.own_code import own_code;"
        f"print([sorted(own_code([getattr(mine, n)]).items()) for n in {THINGS}])"
    )
    path = {"PYTHONPATH": str(Path(own.__file__).parents[2]), "PYTHONHASHSEED": "1"}
    run = [sys.executable, "-c", code]
    there = subprocess.run(run, cwd=tmp_path, env=path, check=True, capture_output=True, text=True)
    mine = ModuleType("mine")
    monkeypatch.setitem(sys.modules, "mine", mine)
    exec(CELL, vars(mine))
    here = [sorted(own_code([getattr(mine, name)]).items()) for name in THINGS]
    assert there.stdout == f"{here}\n"
    assert there.stdout.count("mine.") == len(THINGS)


def test_what_another_module_of_ones_own_holds_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(factor: float) -> dict[str, str]:
        module = ModuleType("mine")
        exec(f"FACTOR = {factor}\nUNUSED = {factor}\ndef soft(x): return FACTOR * x", vars(module))
        monkeypatch.setitem(sys.modules, "mine", module)
        code = "def loss(s, t, temperature): return mine.soft(s - t)"
        return own_code(names_after(code, mine=module)["loss"])

    assert told(1.0) == told(1.0) != told(2.0)


def test_what_is_installed_is_known_by_name() -> None:
    student, teacher = kd.build("mnist_cnn_student"), kd.build("mnist_cnn_teacher")
    objective = kd.Distillation(
        kd.Teacher(teacher), temperature=kd.temperature.LearnedTemperature()
    )
    loss = partial(kd.losses.kd_loss, temperature=2.0)
    assert own_code(student, objective, kd.optimizers.adam, torch.optim.SGD, loss) == {}


def test_an_own_network_that_teaches_is_found() -> None:
    net = cell()["net"]
    for held in (kd.Teacher(net), kd.Distillation(net), [nn.Sequential(net)], net.forward):
        assert "__main__.Net" in own_code(held)


def weighted(factor: float) -> Callable[..., torch.Tensor]:
    return lambda student, teacher, temperature: factor * (student - teacher).square().mean()


def test_a_checkpoint_of_other_code_is_refused_and_of_the_same_gone_on_from(tmp_path: Path) -> None:
    def run(factor: float, epochs: int, student: nn.Module, **options: Any) -> None:
        objective = kd.Distillation(Small(seed=2), soft_loss=weighted(factor))
        settings: dict[str, Any] = dict(epochs=epochs, device="cpu", progress=False, **options)
        kd.fit(student, objective, split(), **settings)

    path, resumed, straight = tmp_path / "run.pt", Small(), Small()
    run(1.0, 1, Small(), checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(
        CheckpointError, match=r"the code of test_own_code\.weighted.*changed since"
    ):
        run(2.0, 2, Small(), checkpoint=path)
    assert path.read_bytes() == before
    run(1.0, 2, resumed, checkpoint=path)
    run(1.0, 2, straight)
    assert same(weights(resumed), weights(straight))


def test_a_class_is_the_same_after_its_objects_have_been_copied() -> None:
    class Fresh:
        def __init__(self) -> None:
            self.value = 1

    before = own_code(Fresh())
    copy.deepcopy(Fresh())
    assert "__slotnames__" in vars(Fresh)
    assert own_code(Fresh()) == before


def test_an_optimiser_is_the_same_after_one_of_its_kind_has_been_made() -> None:
    class Inherits(torch.optim.SGD): ...

    class Own(torch.optim.SGD):
        @torch.no_grad()
        def step(self, closure: Any = None) -> Any:
            return super().step(closure)

    class InheritsOwn(Own): ...

    before = own_code(Inherits, InheritsOwn, Own)
    for kind in (Inherits, InheritsOwn, Own):
        kind([nn.Parameter(torch.ones(1))], lr=0.1)
    assert own_code(Inherits, InheritsOwn, Own) == before


READS = """
import array, collections, decimal, fractions, functools, types
from dataclasses import dataclass
import numpy as np

@dataclass(frozen=True, slots=True)
class Settings:
    factor: float

class Slotted:
    __slots__ = "factor"
    def __init__(self, factor):
        self.factor = factor

@functools.singledispatch
def dispatched(x):
    return x * 1

THING = {thing}

def loss(student, teacher, temperature):
    return (student - teacher).mean() * THING
"""


@pytest.mark.parametrize(
    "thing",
    [
        "functools.cache(lambda x: x * {n})", "functools.lru_cache(8)(lambda x: x * {n})",
        "np.vectorize(lambda x: x * {n})", "Settings({n})", "Slotted({n})",
        "collections.deque([{n}])", "fractions.Fraction({n}, 7)", "decimal.Decimal({n})",
        "array.array('d', [{n}])", "range({n})", "bytearray([{n}])", "slice({n})",
        "types.MappingProxyType({{'a': {n}}})",
        "(abs, len)[{n} % 2]", "{{'a': (np.sin, np.tanh)[{n} % 2]}}",
    ],
)  # fmt: skip
def test_globals_of_any_kind_that_a_function_reads_count(thing: str) -> None:
    def told(number: int) -> dict[str, str]:
        return own_code(names_after(READS.format(thing=thing.format(n=number)))["loss"])

    assert told(3) == told(3) != told(4)


def test_a_function_with_a_memory_is_looked_into_where_it_is_the_loss_itself() -> None:
    code = READS.format(thing="functools.cache(dispatched)")
    edited = code.replace("x * 1", "x * 2")
    first, second = (own_code(names_after(each)["THING"]) for each in (code, edited))
    assert first
    assert first != second
