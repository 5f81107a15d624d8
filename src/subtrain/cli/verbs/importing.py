"""`subtrain import`, `import-reference` and `import-fit`: masks, outputs and datamodels made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from subtrain.cli.shared.app import app, out
from subtrain.cli.shared.options import StudyPath
from subtrain.errors import InputError
from subtrain.quantities import quantity_of
from subtrain.system.paths import local_path

if TYPE_CHECKING:
    from subtrain.study import Study


@app.command(name="import")
def import_(
    study: StudyPath,
    folder: Annotated[Path | None, typer.Argument(metavar="[FOLDER]", help="A folder in the public layout.")] = None,
    masks: Annotated[Path | None, typer.Option(help=".npy file of masks [M, n].")] = None,
    output: Annotated[
        list[str] | None,
        typer.Option("--output", "-o", metavar="NAME=FILE", help=".npy file of outputs [M, …]; repeatable."),
    ] = None,
    pct: Annotated[str | None, typer.Option(help="The alpha, if the folder has several: 50, or 0.5.")] = None,
    heldout: Annotated[
        int | None,
        typer.Option(
            help="Number of the last rows that are only for evaluation. "
            "(default: as exported; else 10,000 of 20,000 or more; else a tenth)"
        ),
    ] = None,
    verify: Annotated[bool, typer.Option(help="Compare the files of a folder with the sha256 beside them.")] = True,
    labels: Annotated[
        Path | None,
        typer.Option(help=".npy file with the classes of the test targets, to compare margins with logits."),
    ] = None,
    better: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]WAY",
            help="Better direction of all outputs, or of the output of this name: higher, lower or neither. "
            "(default: by their names)",
        ),
    ] = None,
) -> None:
    """Make a study of existing masks and outputs. The files stay where they are.

    subtrain import runs/cifar cifar/ --pct 50
    subtrain import runs/mine --masks masks.npy --output test_margins=margins.npy
    """
    from subtrain.cli.shared.progress import stages
    from subtrain.designs.model_rows import EVALUATION, VALIDATION
    from subtrain.store.npy_files import open_npy
    from subtrain.study import Study

    classes = open_npy(local_path(labels)) if labels is not None else None
    if folder is not None:
        if masks is not None or output:
            raise InputError("give either a folder or --masks with --output, not both")
        with stages() as progress:
            made = Study.from_folder(
                study,
                folder,
                pct=pct,
                heldout=heldout,
                verify=verify,
                progress=progress,
                better=_ways(better),
                labels=classes,
            )
    elif masks is not None:
        made = Study.from_arrays(
            study, masks, dict(map(_pair, output or [])), heldout=heldout, better=_ways(better), labels=classes
        )
    else:
        raise InputError("give the data to import: a folder, or --masks FILE --output NAME=FILE")
    judged, chose, there = made.done(EVALUATION).size, made.done(VALIDATION).size, made.models_done()
    only = f"{judged:,} only for evaluation" + (f", {chose:,} only to choose lambda" if chose else "")
    of = f" of {made.models:,} rows" if there < made.models else ""
    out.print(f"Imported {study}: {there:,} models{of} ({only}) over {made.n:,} units")
    out.print(f"Held-out models: {made.manifest['evaluation_from']}", soft_wrap=True)
    out.print(f"Better outputs: {_told(made)}", soft_wrap=True)
    for note in made.manifest["notes"]:
        out.print(note, soft_wrap=True)
    out.print(f"Next: subtrain fit {study}")


def _ways(better: list[str] | None) -> str | dict[str, str] | None:
    """ "lower" of ["lower"], {"y": "lower"} of ["y=lower"]."""
    if better is None or (len(better) == 1 and "=" not in better[0]):
        return None if better is None else better[0]
    named = [one.partition("=") for one in better]
    if not all(equals for _, equals, _ in named):
        raise InputError(f"give one way for all outputs, or each by name as in y=lower; got {' '.join(better)}")
    return {name: way for name, _, way in named}


def _told(study: Study) -> str:
    """Of each output in words, and how that is known."""
    said = []
    for name, spec in study.outputs.items():
        found = quantity_of(name, spec.better)
        how = "as you say" if spec.better else "by its name"
        known = found.better is not None or spec.better is not None or found.known
        way = f"{found.better or 'neither'}, {how}" if known else "not known; --better higher or lower would say"
        said.append(f"{name} {way}")
    return "; ".join(said)


def _pair(text: str) -> tuple[str, Path]:
    name, equals, file = text.partition("=")
    if not equals:
        raise InputError(f"--output must be written name=file.npy, got {text!r}")
    return name, Path(file)


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
    from subtrain.designs.model_rows import EVALUATION
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


@app.command(name="import-fit")
def import_fit(
    study: StudyPath,
    file: Annotated[Path, typer.Argument(metavar="FILE.pt", help="A file with a dict of weight, bias and lam.")],
    name: Annotated[str, typer.Option(help="Name of the fit, a folder below STUDY/fits.")] = "published",
    output: Annotated[
        str | None, typer.Option(help="Name of the output that they predict, if several have that number of targets.")
    ] = None,
    units: Annotated[
        str | None,
        typer.Option(help="Masks of the weights: raw or standardized. (default: estimated from the mean outputs)"),
    ] = None,
) -> None:
    """Add published datamodels, or others of the reference code, to a study, in units of raw masks.

    subtrain import runs/cifar cifar/ --pct 50
    subtrain import-fit runs/cifar cifar/datamodels/test_50pct.pt
    subtrain evaluate runs/cifar --fit published
    """
    from subtrain.fits import save_fit
    from subtrain.public.published import load_published
    from subtrain.study import Study

    opened = Study.open(study)
    dm = load_published(file, opened, output, units)
    where = save_fit(opened, dm, name)
    out.print(
        f"{dm!r}: the file's weights were for {dm.meta['published_units']} masks; written to {where}", soft_wrap=True
    )
    out.print(f"Next: subtrain evaluate {study} --fit {name}")
