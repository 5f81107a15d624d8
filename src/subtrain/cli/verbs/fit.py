"""`subtrain fit`: a datamodel for every target."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from subtrain.cli.shared.app import app, err, out
from subtrain.cli.shared.options import OutputName, StudyPath
from subtrain.cli.shared.progress import stages
from subtrain.regression.estimators import ESTIMATORS


@app.command()
def fit(
    study: StudyPath,
    output: OutputName = None,
    name: Annotated[str, typer.Option(help="Name of the fit, a folder below STUDY/fits.")] = "default",
    estimator: Annotated[
        str | None, typer.Option(help=f"{', '.join(ESTIMATORS)}. (default: lasso, with a guess shared-prior)")
    ] = None,
    guess: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Begin from a guess of the study, or a table [n, T] in a .npy file; repeatable.",
        ),
    ] = None,
    lambdas: Annotated[int | None, typer.Option(help="Number of values of λ on each path; lasso: 100.")] = None,
    eps: Annotated[float | None, typer.Option(help="Smallest λ as a fraction of the largest; lasso: 0.001.")] = None,
    tol: Annotated[float | None, typer.Option(help="Largest relative duality gap of a target; lasso: 0.0001.")] = None,
    validation: Annotated[
        float | None,
        typer.Option(
            help="Share of the fit models that choose λ, or, from 2 on, a number of folds; lasso: 0.1. A design's own "
            "validation models choose instead."
        ),
    ] = None,
    objective: Annotated[
        str | None, typer.Option(help="Masks of the LASSO: standardized (the paper's) or raw.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed that draws the validation models.")] = None,
    device: Annotated[
        str | None,
        typer.Option(help="Device on which the LASSO solves: cpu, or a CUDA device of PyTorch (experimental)."),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            "-o",
            metavar="KEY=VALUE",
            help="Any other parameter of the estimator, as in -o l1_ratio=0.9; repeatable.",
        ),
    ] = None,
    engine: Annotated[
        str, typer.Option(help="Where to count and solve: local or ray. Both give the same numbers.")
    ] = "local",
    address: Annotated[
        str | None, typer.Option(help="With --engine ray: HOST:PORT of the cluster's head. (default: RAY_ADDRESS)")
    ] = None,
    keep_counts: Annotated[
        bool, typer.Option(help="Keep the counts in the study, to continue after an interruption and to add models.")
    ] = True,
    drop_nonfinite: Annotated[
        bool, typer.Option("--drop-nonfinite", help="Leave out imported models with an output that is inf or NaN.")
    ] = False,
) -> None:
    """Fit a datamodel for every target. Validation models choose λ; held-out models stay unseen."""
    from subtrain.cli.shared.keywords import keywords
    from subtrain.fits import fit_prefix, models_said, save_fit
    from subtrain.regression import fit as solve
    from subtrain.study import Study
    from subtrain.uses.kit.standard_errors import why_no_errors

    began = time.monotonic()
    opened = Study.open(study)
    where = opened.store.location(fit_prefix(name))
    share = int(validation) if validation is not None and validation >= 2 else validation
    given: dict[str, Any] = {"lambdas": lambdas, "eps": eps, "tol": tol, "objective": objective, "seed": seed}
    given |= {"device": device, "validation": share, "guess": guess or None}
    options = {key: value for key, value in given.items() if value is not None}
    asked = estimator or ("shared-prior" if guess else "lasso")
    kind = ESTIMATORS[asked]
    model = kind.from_options(**options).set_params(**keywords(asked, kind, option or []))
    with stages() as progress:
        dm = solve(
            opened,
            output,
            model,
            drop_nonfinite=drop_nonfinite,
            keep_counts=keep_counts,
            folder=opened.local,
            announce=lambda plan: err.print(f"{plan} below {where}", soft_wrap=True),
            progress=progress,
            engine=engine,
            address=address,
        )
    save_fit(opened, dm, name)
    out.print(f"{dm!r} from {models_said(dm.meta)} in {time.monotonic() - began:.1f} s", soft_wrap=True)
    gap = f"Largest {model.gap_name} {dm.meta['gap_max']:.1e}; written" if model.gap_name else "Written"
    out.print(f"{gap} to {where}", soft_wrap=True)
    if "chosen" in dm.meta:
        scores = ", ".join(f"{each} {score:.3f}" for each, score in dm.meta["scores"].items())
        out.print(f"Chosen: {dm.meta['chosen']}, of correlations on validation models {scores}", soft_wrap=True)
    if "guess" in dm.meta:
        beta = ", ".join(f"{table} x {value:.2f}" for table, value in dm.meta["guess"]["beta"].items())
        share = dm.meta["guess"]["residual_share"]
        out.print(f"The guess: {beta}; {share:.0%} of what the outputs add to it is believed", soft_wrap=True)
        out.print(f"What it is worth in models: subtrain budget {study} --lds 0.9", soft_wrap=True, markup=False)
    out.print(f"{dm.level_said[:1].upper()}{dm.level_said[1:]}", soft_wrap=True, markup=False)
    without = why_no_errors(dm)
    if without:
        out.print(f"Note: {without}", soft_wrap=True, markup=False)
    out.print(f"Next: subtrain evaluate {study}" + (f" --fit {name}" if name != "default" else ""))
