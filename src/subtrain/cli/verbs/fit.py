"""`subtrain fit`: a datamodel for every target."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from subtrain.cli.shared.app import StudyPath, app, err, out
from subtrain.cli.shared.progress import stages
from subtrain.errors import InputError


@app.command()
def fit(
    study: StudyPath,
    output: Annotated[
        str | None, typer.Option(help="Which output; by default the study's first.", show_default=False)
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the fit, a folder below STUDY/fits.")] = "default",
    estimator: Annotated[
        str,
        typer.Option(
            help="lasso, shared-prior, ridge, least-squares, elastic-net, mean-difference, ame, lasso-large or "
            "leave-self-out."
        ),
    ] = "lasso",
    lambdas: Annotated[int, typer.Option(help="Values of λ on each target's path.")] = 100,
    eps: Annotated[float, typer.Option(help="Smallest λ as a fraction of the largest.")] = 1e-3,
    tol: Annotated[float, typer.Option(help="Relative duality gap to reach.")] = 1e-4,
    validation: Annotated[
        float, typer.Option(help="Share of the models that choose λ; from 2 on, the folds of a cross-validation.")
    ] = 0.1,
    objective: Annotated[str, typer.Option(help="standardized (the paper's) or raw masks.")] = "standardized",
    seed: Annotated[int, typer.Option(help="Chooses the validation models.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, or a CUDA device of PyTorch for the LASSO.")] = "cpu",
    engine: Annotated[str, typer.Option(help="Where to count and solve: local or ray; the same numbers.")] = "local",
    address: Annotated[
        str | None, typer.Option(help="ray: HOST:PORT of the cluster's head; else RAY_ADDRESS.", show_default=False)
    ] = None,
    keep_counts: Annotated[
        bool, typer.Option(help="Keep the counts in the study, to go on after an interruption and to add models.")
    ] = True,
    drop_nonfinite: Annotated[
        bool, typer.Option("--drop-nonfinite", help="Leave out imported models with an output that is inf or NaN.")
    ] = False,
) -> None:
    """Fit a datamodel for every target: LASSO, λ chosen on validation models; held-out models stay unseen."""
    from subtrain.fits import fit_prefix, save_fit
    from subtrain.regression import fit as solve
    from subtrain.study import Study

    began = time.monotonic()
    opened = Study.open(study)
    where = opened.store.location(fit_prefix(name))
    given = {"lambdas": lambdas, "eps": eps, "tol": tol, "objective": objective, "seed": seed, "device": device}
    model = _estimator(estimator, given | {"validation": int(validation) if validation >= 2 else validation})
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
    planned = dm.meta["models_planned"]
    of = f" of {planned:,}" if dm.meta["models"] < planned else ""
    out.print(f"{dm!r} from {dm.meta['models']:,}{of} models in {time.monotonic() - began:.1f} s", soft_wrap=True)
    gap = getattr(model, "GAP", "relative duality gap")
    out.print(f"Largest {gap} {dm.meta['gap_max']:.1e}; written to {where}", soft_wrap=True)
    if "chosen" in dm.meta:
        scores = ", ".join(f"{each} {score:.3f}" for each, score in dm.meta["scores"].items())
        out.print(f"Chosen: {dm.meta['chosen']}, of correlations on validation models {scores}", soft_wrap=True)
    out.print(f"Next: subtrain evaluate {study}" + (f" --fit {name}" if name != "default" else ""))


def _estimator(name: str, given: dict[str, Any]) -> Any:
    """The estimator of this name with those of the options that it has."""
    from subtrain import regression

    classes = {
        "lasso": regression.Lasso,
        "ridge": regression.Ridge,
        "least-squares": regression.LeastSquares,
        "elastic-net": regression.ElasticNet,
        "mean-difference": regression.MeanDifference,
        "ame": regression.AME,
        "lasso-large": regression.LassoLarge,
        "shared-prior": regression.SharedPrior,
        "leave-self-out": regression.LeaveSelfOut,
    }
    if name not in classes:
        raise InputError(f"unknown estimator {name!r}; choose from {', '.join(classes)}")
    if name == "leave-self-out":
        return regression.LeaveSelfOut(_estimator("lasso", given))
    model = classes[name]()
    grid = () if name == "lasso" else ("lambdas", "eps", "tol") if name == "shared-prior" else ("lambdas", "eps")
    return model.set_params(**{k: v for k, v in given.items() if k in model.get_params() and k not in grid})
