"""Every task of the registry is made by its name, or names the parameter that it lacks."""

from __future__ import annotations

import inspect

import pytest

from subtrain.errors import InputError
from subtrain.outputs import Output
from subtrain.tasks import TASKS, load_task
from subtrain.tasks.loading.task_factory import is_marked


@pytest.mark.parametrize("name", TASKS)
def test_a_registered_task_is_made_or_says_what_it_lacks(name):
    factory = TASKS[name]
    assert is_marked(factory), "only a function marked with @task_factory is called for a study that somebody else made"
    assert inspect.getdoc(factory)
    parameters = inspect.signature(factory).parameters.values()
    lacking = [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if lacking:
        with pytest.raises(InputError, match=f"{name} could not be called .*'{lacking[0]}'"):
            load_task(name)
        return
    task, source = load_task(name)
    again, _ = load_task(source.name, source.params)
    assert task.n == again.n > 1
    assert task.fingerprint == again.fingerprint
    assert task.outputs
    assert all(isinstance(output, Output) for output in task.outputs.values())


def test_a_name_that_is_nearly_one_is_guessed():
    with pytest.raises(InputError, match=r"got 'digts' \(did you mean 'digits'\?\)"):
        load_task("digts")
