"""`subtrain import-reference`: a logdir of the reference code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from subtrain.cli.shared.app import app, out


@app.command(name="import-reference")
def import_reference(
    logdir: Annotated[Path, typer.Argument(metavar="LOGDIR", help="A folder with _completed.npy and arrays.")],
    study: Annotated[
        Path | None, typer.Argument(metavar="[STUDY]", help="The new study's folder. [default: LOGDIR-study]")
    ] = None,
    masks: Annotated[
        str | None,
        typer.Option(
            metavar="KEY", help='Array that holds the masks. [default: the one called "mask"]', show_default=False
        ),
    ] = None,
    spec: Annotated[
        Path | None,
        typer.Option(
            help="The spec.json it was made with. [default: every .npy with a row a model]", show_default=False
        ),
    ] = None,
    heldout: Annotated[
        int | None,
        typer.Option(help="How many of the last rows are only for judging. [default: a tenth]", show_default=False),
    ] = None,
) -> None:
    """Make a study of what the reference code's workers have trained; models not completed are left out.

    LOGDIR is only read. If all models are completed its arrays are read where they lie, else they are copied.
    It may also be a study that collect --reference-module is filling: then the models that have landed are copied.
    """
    from subtrain.designs.drawn import EVALUATION
    from subtrain.study import Study

    made = Study.from_reference(logdir, study, masks=masks, heldout=heldout, spec=spec)
    judged, left_out = made.done(EVALUATION).size, made.manifest["left_out"]
    of = f" of {made.models + left_out:,}" if left_out else ""
    out.print(
        f"Imported {made.path}: {made.models:,}{of} models, the completed ones ({judged:,} only for judging), over "
        f"{made.n:,} units",
        soft_wrap=True,
    )
    out.print(f"  masks from {made.design.files['masks'][0].name}, outputs {', '.join(made.outputs)}")
    out.print(f"Next: subtrain fit {made.path}")
