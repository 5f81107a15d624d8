"""`subtrain collect`: train what is missing."""

from __future__ import annotations

from subtrain.cli.app import Params, StudyPath, TaskName, Workers, app, out


@app.command()
def collect(study: StudyPath, workers: Workers = None, task: TaskName = None, param: Params = None) -> None:
    """Train every model the study still lacks. Kill it whenever you like; the same command goes on.

    --task is only needed for a study created from Python with a task that has no import path.
    """
    from subtrain.collection import collect as train
    from subtrain.store.study import Study
    from subtrain.tasks.load import parse_params

    opened = Study.open(study, task, params=parse_params(param or []))
    done = train(opened, workers)
    if done.trained:
        out.print(f"Trained {done.trained:,} models in {done.seconds:.1f} s ({done.rate:,.3g} a second)")
    out.print(f"{done.done:,} of {done.total:,} models are done")
    out.print(f"Next: subtrain fit {study}")
