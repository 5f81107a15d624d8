"""The options of verbs that train: whose task, on which engine, with what of the engine's own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from subtrain.cli.shared.engine_options import EngineName, engine_parameters
from subtrain.cli.shared.options import (
    Devices,
    Params,
    PerDevice,
    TaskName,
    Timeout,
    Trust,
    Workers,
    named_after,
    parameter,
)
from subtrain.cli.shared.trusted_study import open_to_train

if TYPE_CHECKING:
    from subtrain.study import Study

TASK = [parameter("task", TaskName, None), parameter("param", Params, None), parameter("trust", Trust, False)]
WORKERS = [
    *(parameter("workers", Workers, None), parameter("device", Devices, None)),
    *(parameter("per_device", PerDevice, None), parameter("timeout", Timeout, None)),
]


@dataclass(frozen=True)
class Training:
    """What these options give.

    Args:
        task, param, trust: of the study's task, as `open_to_train` takes them.
        options: keywords of `collect`, those that were given.
    """

    task: str | None = None
    param: list[str] | None = None
    trust: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    def open(self, study: str) -> Study:
        """The study, with the task that was named."""
        return open_to_train(study, self.task, self.param, self.trust)


def with_training(
    function: Callable[..., None], engines: bool = True, without: Sequence[str] = ()
) -> Callable[..., None]:
    """A verb with these options in the place of the parameter `training`, which they make.

    engines: whether --engine and the keywords of all engines are among them, but for those `without`.
    """
    added = [*TASK, *WORKERS]
    if engines:
        own = [one for one in engine_parameters() if one.name not in without]
        added = [*TASK, parameter("engine", EngineName, None), *WORKERS, *own]
    declared = inspect.signature(function, eval_str=True).parameters.values()
    shown = [found for one in declared for found in (added if one.name == "training" else [one])]

    def verb(**given: Any) -> None:
        asked = {one.name: given.pop(one.name) for one in added}
        of_task = {one.name: asked.pop(one.name) for one in TASK}
        device = asked.pop("device")
        if device is not None:
            asked["devices"] = [name.strip() for name in device.split(",")]
        options = {name: value for name, value in asked.items() if value is not None and value is not False}
        function(**given, training=Training(**of_task, options=options))

    return named_after(function, verb, [one.replace(kind=one.KEYWORD_ONLY) for one in shown])
