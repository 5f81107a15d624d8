"""The image collections of the paper, read from their official files, in the order of the published matrices."""

from subtrain.datasets.cifar10 import cifar10
from subtrain.datasets.fmow import FMoW, FMoWDataset

__all__ = ["FMoW", "FMoWDataset", "cifar10"]
