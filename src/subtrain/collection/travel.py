"""How a task gets into another process: by its source where it has one, else as a pickle."""

from __future__ import annotations

import base64
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from subtrain.tasks.base import BatchTask, FunctionTask, Task


def pack(task: Task | None) -> dict[str, Any]:
    """A message, plain JSON: where modules are found, and the task itself unless the other side can make it."""
    message: dict[str, Any] = {"sys_path": [p for p in (str(Path.cwd()), *sys.path) if p], "task": None}
    if task is not None:
        import cloudpickle

        if isinstance(task, (BatchTask, FunctionTask)):
            task = replace(task, relabel=None)  # it holds the data once more, and a worker never relabels
        message["task"] = base64.b64encode(cloudpickle.dumps(task)).decode()
    return message


def unpack(message: dict[str, Any]) -> Task | None:
    """Find modules where the sender does; the task, if it was sent."""
    sys.path[:0] = [entry for entry in message["sys_path"] if entry not in sys.path]
    if message["task"] is None:
        return None
    import cloudpickle

    task: Task = cloudpickle.loads(base64.b64decode(message["task"]))
    return task
