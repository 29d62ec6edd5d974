"""Knowledge distillation: what the lessons use, by the names that they use.

    import kdhelpers as kd
    digits = kd.load("digits")

Everything is loaded when it is first asked for (PEP 562), so that the command `kdhelpers` need not
wait for PyTorch.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# Has to be said before PyTorch is loaded: how long an idle OpenMP thread (of GNU's library, as
# on Linux) spins before it sleeps. Measured on two cores with the networks of lesson 01: on a
# quiet machine as fast as endless spinning; with one core kept busy by another program, 5 s
# (teacher) and 4 s (student) in place of 20 s and 27 s.
os.environ.setdefault("GOMP_SPINCOUNT", "3000")

if TYPE_CHECKING:
    from kdhelpers import checks, data, evaluation, losses, models, plots, stats, temperature
    from kdhelpers.course.lesson import lesson, made_for
    from kdhelpers.data.folder import load_folder
    from kdhelpers.data.sets import load
    from kdhelpers.evaluation import evaluate, predict
    from kdhelpers.evaluation.export import export_onnx
    from kdhelpers.models.build import build
    from kdhelpers.models.features import capture
    from kdhelpers.objectives.distillation import Distillation, Faded
    from kdhelpers.objectives.hints import Hint, LayerPair, WithFeatures, regressor_between
    from kdhelpers.objectives.objective import Objective, Supervised
    from kdhelpers.objectives.recorded import RecordedTeacher
    from kdhelpers.objectives.shipped import shipped_teacher
    from kdhelpers.objectives.teacher import ShuffledTeacher, Teacher
    from kdhelpers.stats import tables
    from kdhelpers.training import optimizers
    from kdhelpers.training.fit import fit
    from kdhelpers.training.loop import TrainingError
    from kdhelpers.training.many import fit_many, run_arms
    from kdhelpers.training.recipe import Recipe

__version__ = "0.2.0"

__all__ = ["Distillation", "Faded", "Hint", "LayerPair", "Objective", "Recipe", "RecordedTeacher"]
__all__ += ["ShuffledTeacher", "Supervised", "Teacher", "TrainingError", "WithFeatures", "build"]
__all__ += ["capture", "checks", "data", "evaluate", "evaluation", "export_onnx", "fit"]
__all__ += ["fit_many", "lesson", "load", "load_folder", "losses", "made_for", "models"]
__all__ += ["optimizers", "plots", "predict", "regressor_between", "run_arms", "shipped_teacher"]
__all__ += ["stats", "tables", "temperature"]

_WHERE = {
    "course.lesson": ("lesson", "made_for"),
    "data.folder": ("load_folder",),
    "data.sets": ("load",),
    "evaluation": ("evaluate", "predict"),
    "evaluation.export": ("export_onnx",),
    "models.build": ("build",),
    "models.features": ("capture",),
    "objectives.distillation": ("Distillation", "Faded"),
    "objectives.hints": ("Hint", "LayerPair", "WithFeatures", "regressor_between"),
    "objectives.objective": ("Objective", "Supervised"),
    "objectives.recorded": ("RecordedTeacher",),
    "objectives.shipped": ("shipped_teacher",),
    "objectives.teacher": ("ShuffledTeacher", "Teacher"),
    "training.fit": ("fit",),
    "training.loop": ("TrainingError",),
    "training.many": ("fit_many", "run_arms"),
    "training.recipe": ("Recipe",),
}
_MODULES = {"tables": "stats.tables", "optimizers": "training.optimizers"}
_HOME = {name: module for module, names in _WHERE.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(f"kdhelpers.{_HOME[name]}"), name)
    elif name in __all__:
        value = import_module(f"kdhelpers.{_MODULES.get(name, name)}")
    else:
        raise AttributeError(f"module 'kdhelpers' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
