"""Train the two networks of docs/draw.md and write them, and how they came about, to docs/draw/.

    KDHELPERS_DATA=data python tools/draw_models.py      some 30 minutes on two busy cores

Lesson 01's networks on MNIST, with the settings of its full profile and one seed: the teacher on
the labels, the student distilled from it for half of the profile's steps, both on all images.
"""

import hashlib
import json
from datetime import date
from pathlib import Path
from typing import Any

import torch

import kdhelpers as kd

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "draw"
TEACHER = {"epochs": 4, "batch_size": 128, "lr": 1e-3, "seed": 0}
STUDENT = {"steps": 1290, "batch_size": 128, "lr": 3e-3, "seed": 0}
LOSS = {"temperature": 4.0, "alpha": 0.9}


def trained(images: Any) -> dict[str, torch.nn.Module]:
    teacher, student = (kd.build(f"mnist_cnn_{role}", seed=0) for role in ("teacher", "student"))
    kd.fit(teacher, kd.Supervised(), images, **TEACHER)
    objective = kd.Distillation(kd.Teacher(teacher, cache=True), **LOSS)
    kd.fit(student, objective, images, **STUDENT)
    return {"teacher": teacher, "student": student}


def write(networks: dict[str, torch.nn.Module], digits: Any) -> None:
    """The networks as ONNX, and `models.json`, which says what they are."""
    told = {
        "made by": "python tools/draw_models.py",
        "made on": date.today().isoformat(),
        "with": f"kdhelpers {kd.__version__}, PyTorch {torch.__version__}",
        "data": f"MNIST, {len(digits.train):,} training images; accuracy on the test images",
        "normalisation": {"mean": digits.train.mean, "std": digits.train.std},
    }
    settings = {"teacher": TEACHER, "student": STUDENT | LOSS}
    for role, network in networks.items():
        path = kd.export_onnx(network, FOLDER / f"{role}.onnx", digits.train)
        told[role] = {
            "network": f"mnist_cnn_{role}",
            "parameters": sum(weight.numel() for weight in network.parameters()),
            "training": settings[role],
            **kd.evaluate(network, digits.test),
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
    (FOLDER / "models.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    mnist = kd.load("mnist")
    write(trained(mnist.train), mnist)
