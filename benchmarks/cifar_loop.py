"""Steps per second of `fit` on CIFAR-10, beside two other loops that do the same work.

- the tutorial loop: a `DataLoader` with workers over PIL images, `RandomCrop`,
  `RandomHorizontalFlip`, `ToTensor` and `Normalize` for each image, `.item()` after every step;
- the bare loop: what one would write by hand over uint8 tensors on the device, augmented a batch
  at a time, without any package;
- `fit`, supervised, in fp32 and in precision "auto", and as distillation with the teacher's logits
  kept for all 50 views.

Same network, batch size, optimiser and kind of augmentation; all but `fit` with "auto" compute in
fp32 on a CPU and in bf16 on a GPU. All are measured in turn, several times, and medians are
compared: what else the machine does meets all of them.

    python benchmarks/cifar_loop.py                         # small_cnn on a CPU, VGG16 on a GPU
    python benchmarks/cifar_loop.py --dataset photodigits --images 1000 --rounds 1    # a smoke test

The last line is one JSON object; `--record FILE` writes it too. `memory_mib` is the largest
resident set of a fresh process that loads the data set and trains on it.

Measured on two-core CPUs with torch 2.15, November 2026, small_cnn on 10,000 images, five rounds.
AMD EPYC with AVX2: `fit` takes 2.29 times as many steps a second as the tutorial loop and 1.02
times as many as the bare one; a distillation step with kept logits takes 0.99 of a supervised one.
AMD EPYC with AVX512-BF16: 2.62 and 0.99 times as many, and in precision "auto" 4.19 times as many
as the tutorial loop; a distillation step takes 1.05 of a supervised one, both in bf16.
Intel Xeon with AVX-512 and no bf16 units (5,000 images, three rounds): 2.49 and 1.03 times as many;
a distillation step takes 1.04 of a supervised one.
Most of a step are convolutions near the CPU's matrix rate, so no loop could be much faster. On a
GPU it has not been measured.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from kdhelpers import data, evaluation, models
from kdhelpers.data.batching import Views
from kdhelpers.data.split import Split
from kdhelpers.objectives.distillation import Distillation
from kdhelpers.objectives.objective import Supervised
from kdhelpers.objectives.teacher import Teacher
from kdhelpers.training.fit import fit
from kdhelpers.training.optimizers import nesterov

BATCH_SIZE, LEARNING_RATE, SHIFT = 128, 0.05, 2
VIEWS = Views(flip=True, shift=SHIFT)


class Pictures(Dataset):
    """The split as torchvision's data sets give it: a PIL image and a label at a time."""

    def __init__(self, split: Split) -> None:
        self.images = split.images.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = split.labels.tolist()
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(self.images.shape[1], padding=SHIFT),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(split.mean, split.std),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


class TutorialCNN(nn.Module):
    """small_cnn as tutorials write it: ReLU before pooling, in PyTorch's default layout."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, 1, 1)
        self.conv2 = nn.Conv2d(32, 64, 3, 1, 1)
        self.pool = nn.MaxPool2d(2, 2)
        self.fc1 = nn.Linear(64 * 8 * 8, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        return self.fc2(F.relu(self.fc1(x.reshape(x.shape[0], -1))))


def autocast(device: str) -> torch.autocast:
    return torch.autocast(device, torch.bfloat16, enabled=device == "cuda")


def finish(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def tutorial(name: str, split: Split, device: str, workers: int) -> float:
    """Seconds a step; the start of the workers is left out, as it is paid once an epoch."""
    loader = DataLoader(
        Pictures(split), batch_size=BATCH_SIZE, shuffle=True, num_workers=workers, drop_last=True
    )
    model = (TutorialCNN() if name == "small_cnn" else models.build(name)).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=0.9, nesterov=True)
    steps, losses, started = 0, [], 0.0
    for images, labels in loader:
        if steps == 1:
            started = time.perf_counter()
        images, labels = images.to(device), labels.to(device)
        optimizer.zero_grad()
        with autocast(device):
            loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        steps += 1
    return (time.perf_counter() - started) / (steps - 1)


def bare(name: str, split: Split, device: str) -> float:
    model = models.build(name).to(device).to(memory_format=torch.channels_last)
    optimizer = nesterov(model.parameters(), lr=LEARNING_RATE)
    images, labels = split.images.to(device), split.labels.to(device)
    mean, std = (
        torch.tensor(numbers, device=device).view(1, -1, 1, 1)
        for numbers in (split.mean, split.std)
    )
    size = images.shape[-1]
    pixels = torch.arange(size, device=device)
    finish(device)
    started, steps = time.perf_counter(), 0
    for chosen in torch.randperm(len(images), device=device).split(BATCH_SIZE):
        if len(chosen) < BATCH_SIZE:
            break
        batch = F.pad(images[chosen], (SHIFT,) * 4)
        down, right = torch.randint(2 * SHIFT + 1, (2, BATCH_SIZE, 1), device=device)
        flipped = torch.rand(BATCH_SIZE, 1, device=device) < 0.5
        columns = torch.where(flipped, pixels.flip(0), pixels) + right
        rows = torch.arange(BATCH_SIZE, device=device)[:, None, None]
        batch = batch[rows, :, (pixels + down)[:, :, None], columns[:, None, :]]  # [B, H, W, C]
        batch = ((batch.permute(0, 3, 1, 2) / 255.0) - mean) / std  # channels last in memory
        with autocast(device):
            loss = F.cross_entropy(model(batch), labels[chosen])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        steps += 1
    finish(device)
    return (time.perf_counter() - started) / steps


def fitted(
    name: str, split: Split, device: str, teacher: Teacher | None = None, precision: str = "auto"
) -> float:
    objective = Supervised() if teacher is None else Distillation(teacher)
    (epoch,) = fit(
        models.build(name, seed=0), objective, split, epochs=1, batch_size=BATCH_SIZE,
        lr=LEARNING_RATE / (10 if teacher else 1), optimizer=nesterov, views=VIEWS, device=device,
        precision=precision, progress=False,
    )  # fmt: skip
    return epoch["seconds"] / data.steps_per_epoch(len(split), BATCH_SIZE)


def peak_memory(arguments: argparse.Namespace) -> float:
    """The largest resident set, in MiB, of a process that trains on all images or `--images`."""
    some = f".take({arguments.images})" if arguments.images else ""
    code = (
        "import resource; from kdhelpers import data, models; from kdhelpers.data import Views\n"
        "from kdhelpers import Supervised, fit\n"
        f"train = data.load({arguments.dataset!r}, root={arguments.root!r}).train{some}\n"
        f"fit(models.build({arguments.model!r}), Supervised(), train, epochs=1, batch_size=128,\n"
        f"    views=Views(flip=True, shift={SHIFT}), device='cpu', progress=False)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def matrix_rate() -> float:
    """Multiply-accumulates per second of a large bfloat16 matrix product on the GPU."""
    size = 8192
    a, b = torch.randn(2, size, size, device="cuda", dtype=torch.bfloat16)
    for _ in range(3):
        a @ b
    finish("cuda")
    started = time.perf_counter()
    for _ in range(20):
        a @ b
    finish("cuda")
    return 20 * size**3 / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    gpu = torch.cuda.is_available()
    parser.add_argument("--dataset", default="cifar10", choices=["cifar10", "photodigits"])
    parser.add_argument("--root", help="data root; default KDHELPERS_DATA, else data/")
    parser.add_argument("--device", default="cuda" if gpu else "cpu", choices=["cpu", "cuda"])
    parser.add_argument("--model", help="default: vgg16 on a GPU, small_cnn on a CPU")
    parser.add_argument("--images", type=int, help="default: 10,000 on a CPU, all on a GPU")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2, help="of the tutorial's DataLoader")
    parser.add_argument("--record", type=Path, help="also write the JSON object here")
    arguments = parser.parse_args()
    device = arguments.device
    arguments.model = arguments.model or ("vgg16" if device == "cuda" else "small_cnn")
    name = arguments.model

    whole = data.load(arguments.dataset, root=arguments.root).train
    split = whole.take(arguments.images or (len(whole) if device == "cuda" else 10_000))
    if len(split) < 2 * BATCH_SIZE:  # the tutorial loop's first step is not measured
        parser.error(f"--images {arguments.images} do not fill two batches of {BATCH_SIZE}")
    used = len(split) // BATCH_SIZE * BATCH_SIZE  # whole batches only: all loops do the same steps
    split = split.select(range(used))
    teacher = Teacher(models.build("small_cnn", width=0.1), cache=True)  # only looked up
    loops: dict[str, Callable[[], float]] = {
        "tutorial": lambda: tutorial(name, split, device, arguments.workers),
        "bare": lambda: bare(name, split, device),
        "fit": lambda: fitted(name, split, device, precision="bf16" if gpu else "fp32"),
        "fit_auto": lambda: fitted(name, split, device),
        "fit_distillation_cached": lambda: fitted(name, split, device, teacher),  # "auto"
    }
    print(f"{name} on {arguments.dataset}, {len(split):,} images, batch {BATCH_SIZE}, {device}, "
          f"{torch.get_num_threads()} threads, torch {torch.__version__}")  # fmt: skip
    loops["fit_distillation_cached"]()  # fills the table, outside of the measurement
    seconds: dict[str, list[float]] = {loop: [] for loop in loops}
    for _ in range(arguments.rounds):
        for loop, measure in loops.items():
            seconds[loop].append(measure())
        print("  ".join(f"{loop} {1 / each[-1]:.1f}/s" for loop, each in seconds.items()))
    median = {loop: statistics.median(each) for loop, each in seconds.items()}
    ratios = {
        "fit_over_tutorial": median["tutorial"] / median["fit"],
        "fit_auto_over_tutorial": median["tutorial"] / median["fit_auto"],
        "fit_auto_over_fp32": median["fit"] / median["fit_auto"],
        "fit_over_bare": median["bare"] / median["fit"],
        "distillation_step_over_supervised": median["fit_distillation_cached"] / median["fit_auto"],
    }
    if device == "cuda":
        macs = 3 * evaluation.size(models.build(name), tuple(split.images.shape[1:])).macs
        ratios["share_of_matrix_rate"] = macs * BATCH_SIZE / median["fit"] / matrix_rate()
    result = {
        "benchmark": "cifar_loop",
        "model": name,
        "dataset": arguments.dataset,
        "images": len(split),
        "batch_size": BATCH_SIZE,
        "rounds": arguments.rounds,
        "workers": arguments.workers,
        "device": torch.cuda.get_device_name()
        if device == "cuda"
        else platform.processor() or "cpu",
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "steps_per_second": {loop: 1 / each for loop, each in median.items()},
        "ratios": ratios,
        "memory_mib": peak_memory(arguments) if device == "cpu" else None,
    }
    if arguments.record:
        arguments.record.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
