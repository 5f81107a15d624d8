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
        Path | None, typer.Argument(metavar="[STUDY]", help="The new study's folder. (default: LOGDIR-study)")
    ] = None,
    masks: Annotated[
        str | None, typer.Option(metavar="KEY", help='Array that holds the masks. (default: the one called "mask")')
    ] = None,
    spec: Annotated[
        Path | None, typer.Option(help="The spec.json of the logdir. (default: every .npy with a row a model)")
    ] = None,
    heldout: Annotated[
        int | None, typer.Option(help="Number of the last rows that are only for evaluation. (default: a tenth)")
    ] = None,
) -> None:
    """Make a study of the models that workers of the reference code have trained. Incomplete models are left out.

    The verb only reads LOGDIR. The study uses its arrays where they are if all models are complete, or copies them.
    LOGDIR may also be a study that collect --reference-module is filling: the study then copies its models so far.
    """
    from subtrain.designs.drawn import EVALUATION
    from subtrain.study import Study

    made = Study.from_reference(logdir, study, masks=masks, heldout=heldout, spec=spec)
    judged, left_out = made.done(EVALUATION).size, made.manifest["left_out"]
    of = f" of {made.models + left_out:,}" if left_out else ""
    out.print(
        f"Imported {made.path}: {made.models:,}{of} models, the completed ones ({judged:,} only for evaluation), over "
        f"{made.n:,} units",
        soft_wrap=True,
    )
    out.print(f"  masks from {made.design.files['masks'][0].name}, outputs {', '.join(made.outputs)}")
    out.print(f"Next: subtrain fit {made.path}")
