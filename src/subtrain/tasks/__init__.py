"""Tasks: how a model is trained and measured. `Task` is the plug-in point; the rest are ways to make one."""

from subtrain.tasks.base import BatchTask, FunctionTask, Source, Task, View, batch, function
from subtrain.tasks.cifar import airbench, resnet9
from subtrain.tasks.digits import digits
from subtrain.tasks.fmow import resnet18
from subtrain.tasks.load import importable, load_task
from subtrain.tasks.networks import mlp
from subtrain.tasks.scikit import sklearn
from subtrain.tasks.tabular import tabular
from subtrain.tasks.torch import torch_module

__all__ = [
    "BatchTask",
    "FunctionTask",
    "Source",
    "Task",
    "View",
    "airbench",
    "batch",
    "digits",
    "function",
    "importable",
    "load_task",
    "mlp",
    "resnet9",
    "resnet18",
    "sklearn",
    "tabular",
    "torch_module",
]
