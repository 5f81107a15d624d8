"""`subtrain worker`: train some segments, under whatever starts it."""

from __future__ import annotations

from typing import Annotated

import typer

from subtrain.cli.shared.app import app, out
from subtrain.cli.shared.options import StudyPath
from subtrain.cli.shared.training import Training, with_training


def worker(
    study: StudyPath,
    segments: Annotated[
        str, typer.Option(metavar="A:B", help="Numbers of segments, from A to B - 1; or a list, as in 0:8,11,20:24.")
    ],
    training: Training,
    inherit: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Train these segments of a study on this machine, and skip what is committed already.

    Use it with GNU parallel, Kubernetes Jobs, AWS Batch or cron: any number of workers may run at once on any machines
    that share the study. You can kill and repeat each of them. A model that fails stops no other. Numbers beyond the
    last segment are no error, as long as one of the segments exists.
    It runs the task of a study that you created on this machine, or with its key. For another study, give --task or
    --trust.
    Exit codes: 0 when all of these segments are committed, 5 when some were given up, else as everywhere.
    """
    from subtrain.collection import collect
    from subtrain.collection.engines.slurm.submitted_jobs import parse_segments
    from subtrain.collection.workers.task_message import inherit as inherited

    opened = training.open(study)
    if inherit is not None:
        opened = inherited(opened, inherit)
    numbers = parse_segments(segments, len(opened.segments))
    mine = [number for number in numbers if number < len(opened.segments)] or numbers
    done = collect(opened, segments=mine, **training.options)
    out.print(f"{done.done:,} of the {done.total:,} models in these segments are done ({done.trained:,} trained now)")


app.command()(with_training(worker, engines=False))
