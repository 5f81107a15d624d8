"""Tasks: how a model is trained and measured. `Task` is the plug-in point; the rest are ways to make one."""

from subtrain.tasks.base import BatchTask, FunctionTask, Source, Task, View, batch, function
from subtrain.tasks.command import command
from subtrain.tasks.digits import digits
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
    "batch",
    "command",
    "digits",
    "function",
    "importable",
    "load_task",
    "mlp",
    "sklearn",
    "tabular",
    "torch_module",
]
