"""Tasks: how a model is trained and measured. `Task` is the plug-in point; the rest are ways to make one."""

from subtrain.tasks.base import BatchTask, FunctionTask, Source, Task, View, batch, function
from subtrain.tasks.cifar import airbench, resnet9
from subtrain.tasks.command import command
from subtrain.tasks.digits import digits
from subtrain.tasks.fmow import resnet18
from subtrain.tasks.heads import logistic_head, ridge_head
from subtrain.tasks.images import cnn
from subtrain.tasks.kernels import kernel_ridge, random_features
from subtrain.tasks.loading.load import TASKS, load_task
from subtrain.tasks.loading.task_factory import task_factory
from subtrain.tasks.networks import mlp
from subtrain.tasks.planted import planted
from subtrain.tasks.scikit import sklearn
from subtrain.tasks.tabular import tabular
from subtrain.tasks.torch import torch_module

# The name that version 0.1 had first.
importable = task_factory

__all__ = [
    "TASKS",
    "BatchTask",
    "FunctionTask",
    "Source",
    "Task",
    "View",
    "airbench",
    "batch",
    "cnn",
    "command",
    "digits",
    "function",
    "importable",
    "kernel_ridge",
    "load_task",
    "logistic_head",
    "mlp",
    "planted",
    "random_features",
    "resnet9",
    "resnet18",
    "ridge_head",
    "sklearn",
    "tabular",
    "task_factory",
    "torch_module",
]
