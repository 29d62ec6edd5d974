"""A GPU for tests on machines without one: tensors that say `cuda:0` and hold those of the CPU.

It computes what a CPU does and refuses what a GPU refuses: tensors of two devices in one operation,
a CPU's random generator, NumPy. It notes where a value is read, for which a real one would wait.
`placed` is another here: `Tensor.data` cannot be set to such a tensor.
"""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

GPU = torch.device("cuda:0")
aten = torch.ops.aten
# A scalar, an index and the source of a copy may lie on the CPU.
COPIES = {aten.copy_.default, aten._to_copy.default}
INDEXED = {aten.index.Tensor, aten.index_put_.default, aten._index_put_impl_.default}
READS = {aten._local_scalar_dense.default, aten.equal.default, aten.nonzero.default}


class OnGpu(Tensor):
    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> "OnGpu":
        told = dict(strides=inner.stride(), dtype=inner.dtype, device="meta")
        self: OnGpu = Tensor._make_wrapper_subclass(cls, inner.shape, **told)  # type: ignore
        self.inner = inner.detach()
        return self

    device = property(lambda self: GPU)  # type: ignore[assignment]
    is_cuda = property(lambda self: True)  # type: ignore[assignment]
    is_meta = property(lambda self: False)  # type: ignore[assignment]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.inner.__reduce_ex__(protocol)

    def __deepcopy__(self, memo: Any) -> "OnGpu":
        return OnGpu(self.inner.clone())

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def numpy(self, **options: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def new_tensor(self, values: Any, **options: Any) -> "OnGpu":  # type: ignore[override]
        return OnGpu(self.inner.new_tensor(values, **options))

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError("used after the pretended GPU was gone")


class PretendedGpu(TorchDispatchMode):
    """`reads` has the file and line of the package for every value that was read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[str] = []
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        flat, _ = tree_flatten((args, kwargs))
        tensors = [each for each in flat if isinstance(each, Tensor)]
        ours = [each for each in tensors if isinstance(each, OnGpu)]
        self.operations += bool(ours)
        if ours and func not in COPIES:
            others = [each for each in tensors if not isinstance(each, OnGpu) and each.ndim]
            by_index = func in INDEXED and isinstance(args[0], OnGpu)
            assert by_index or not others, f"{func} of tensors on {GPU} and cpu, at {_place()}"
        device = kwargs.get("device")
        result_is_ours = bool(ours)
        if device is not None:  # "meta" is what PyTorch itself takes theirs for, as in `x.to(y)`
            result_is_ours = device.type in ("cuda", "meta")
            kwargs["device"] = torch.device("cpu")
        elif func is aten.copy_.default:
            result_is_ours = isinstance(args[0], OnGpu)
        if ours and (func in READS or not result_is_ours):
            self.reads.append(_place())
        generators = [each for each in flat if isinstance(each, torch.Generator)]
        assert not (generators and result_is_ours), f"a CPU generator for {GPU}, at {_place()}"
        plain = {id(each.inner): each for each in ours} | {id(each): each for each in tensors}
        answer = func(*tree_map(_inner, args), **tree_map(_inner, kwargs))

        def outer(value: Any) -> Any:
            if id(value) in plain:  # in place
                return plain[id(value)]
            return OnGpu(value) if result_is_ours and isinstance(value, Tensor) else value

        return tree_map(outer, answer)


def _inner(value: Any) -> Any:
    return value.inner if isinstance(value, OnGpu) else value


def _place() -> str:
    frames = [
        each for each in traceback.extract_stack() if "kdhelpers" in Path(each.filename).parts
    ]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "a test"


@contextmanager
def _placed(module: nn.Module, device: torch.device, **layout: Any) -> Iterator[None]:
    """`placed` by other parameters for the time being."""
    before = [
        (part, held, name, tensor)
        for part in module.modules()
        for held in (part._parameters, part._buffers)
        for name, tensor in held.items()
        if tensor is not None and not isinstance(tensor, OnGpu)
    ]
    modes = [(part, part.training) for part in module.modules()]
    for _, held, name, tensor in before:
        there = OnGpu(tensor.detach().clone())
        if isinstance(tensor, nn.Parameter):
            held[name] = nn.Parameter(there, requires_grad=tensor.requires_grad)
        else:
            held[name] = there
    try:
        yield
    finally:
        for _, held, name, tensor in before:
            with torch.no_grad():
                tensor.copy_(held[name])
            held[name] = tensor
        for part, mode in modes:
            part.training = mode


@contextmanager
def pretended_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendedGpu]:
    tensor_of = torch.tensor

    def tensor(values: Any, *, device: Any = None, **options: Any) -> Tensor:
        made = tensor_of(values, **options)
        return OnGpu(made) if device is not None and torch.device(device).type == "cuda" else made

    state = torch.zeros(16, dtype=torch.uint8)
    with monkeypatch.context() as patch, PretendedGpu() as gpu:
        for name, value in {
            "is_available": lambda: True,
            "is_initialized": lambda: True,
            "_lazy_init": lambda: None,
            "device_count": lambda: 1,
            "get_device_capability": lambda index=0: (8, 0),
            "get_rng_state": lambda device=0: state,
            "set_rng_state": lambda state, device=0: None,
            "manual_seed": lambda seed: None,
        }.items():
            patch.setattr(torch.cuda, name, value)
        patch.setattr(torch, "tensor", tensor)
        for kind in ("cuda", "accelerator"):  # its name in older releases, and now
            check = f"_{kind}_graph_capture_health_check"
            patch.setattr(torch.optim.Optimizer, check, lambda self: None, raising=False)
        patch.setattr("kdhelpers.training.loop.placed", _placed)
        yield gpu
