"""Teachers and students by name, the classes behind them, and what looks into their layers."""

from kdhelpers._random import initial_weights
from kdhelpers.models.build import build, image_size, names
from kdhelpers.models.convnets import MNISTCNN, LeNet, NormCNN, PlainCNN
from kdhelpers.models.features import Regressor, capture
from kdhelpers.models.fitnets import FitNet
from kdhelpers.models.mlp import MLP
from kdhelpers.models.resnet import ResNet18
from kdhelpers.models.shipped import student_for, teacher_for
from kdhelpers.models.vgg import VGG

__all__ = ["MLP", "MNISTCNN", "VGG", "FitNet", "LeNet", "NormCNN", "PlainCNN", "Regressor"]
__all__ += ["ResNet18", "build", "capture", "image_size", "initial_weights", "names"]
__all__ += ["student_for", "teacher_for"]
