"""The verbs that ask a question: which of its keywords are options, options of the verb's own, and its help."""

from __future__ import annotations

from typing import Annotated

import typer

from subtrain.cli.shared.app import err
from subtrain.cli.shared.options import numbers, shares
from subtrain.cli.shared.question import Asked, question
from subtrain.errors import InputError
from subtrain.uses.kit.result import Result

GAMES = ("banzhaf", "shapley", "ame")
PAIRS = {"influence": "empirical_influence", "memorization": "memorization"}
Component = Annotated[int, typer.Option(help="With --verify: number of the component or direction.")]


@question("counterfactuals", "sizes base")
def counterfactual(
    asked: Asked,
    units: Annotated[
        str | None, typer.Option(metavar="LIST", help="Remove these units instead of each target's largest weights.")
    ] = None,
) -> Result:
    """Predict each target's output without its most helpful, its most harmful, and as many random units.

    Without --targets, the verb takes 50 targets that are spread over all. --verify retrains every removal once for all
    targets. You can kill it at any time: the same command continues.
    """
    from subtrain.uses.kit.removals import Removal

    chosen = numbers(units, "units")
    if not chosen:
        return asked.answer()
    targets = range(asked.dm.targets) if asked.targets is None else asked.targets
    return asked.answer(targets=[Removal(target, chosen) for target in targets])


@question("support")
def support(
    asked: Asked,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Start from the margin of models trained on everything; trains them.")
    ] = False,
    certify: Annotated[
        bool, typer.Option("--certify", help="Search for each target's smallest set by retraining, and verify it.")
    ] = False,
    rounds: Annotated[int, typer.Option(help="With --certify: number of rounds of retraining.")] = 7,
    mislabel: Annotated[
        bool, typer.Option("--mislabel", help="Give examples the runner-up's label instead of removing them; retrains.")
    ] = False,
    sizes: Annotated[
        str | None, typer.Option(metavar="LIST", help="With --mislabel: numbers of examples. (default: 1,2,4,…,64)")
    ] = None,
) -> Result:
    """Find the smallest set of training units whose removal flips each prediction.

    --verify retrains without it, and without 1.2 times as many. --certify searches for it by retraining, and verifies
    what it found with fresh models. You can kill it at any time: the same command continues.
    """
    from subtrain.uses.support import Support

    if certify:
        if mislabel or calibrate:
            raise InputError("--certify starts from models of everything itself: leave out --calibrate and --mislabel")
        found = asked.answer()
        assert isinstance(found, Support)
        err.print(_cost(asked, found.certify_models(asked.runs, rounds)), soft_wrap=True)
        asked.verify = False
        return found.certify(asked.runs, rounds, **asked.training)
    asked.verify |= calibrate or mislabel
    if mislabel:
        asked.question = "brittleness"
        return asked.answer(**({} if sizes is None else {"sizes": numbers(sizes, "sizes")}))
    return asked.answer(**({"calibrate": asked.runs, **asked.training} if calibrate else {}))


def _cost(asked: Asked, models: int) -> str:
    """What training so many models takes at most, on this machine."""
    from subtrain.formatting import duration
    from subtrain.uses.budget import machine_rate

    rate = machine_rate(asked.study)
    took = f", about {duration(models / rate)} with a worker on every core of this machine" if rate > 0 else ""
    return f"Certifying trains at most {models:,} models{took}"


@question("neighbors", "k together")
def neighbors(
    asked: Asked,
    per_class: Annotated[bool, typer.Option("--per-class", help="Make one list for each class of targets.")] = False,
    significance: Annotated[
        bool, typer.Option("--significance", help="Add the false discovery rate of each weight.")
    ] = False,
) -> Result:
    """List the most helpful and most harmful training units of each target, each class, or all targets together."""
    from subtrain.uses.significance import significance as test

    groups, chosen = None, asked.targets
    if per_class:
        labels = asked.target_labels()
        groups = labels if chosen is None else labels[chosen]
    if significance and (per_class or asked.given["together"]):
        raise InputError("--significance is of the weights of single targets: leave out --per-class and --together")
    return asked.answer(groups=groups, q=test(asked.dm, asked.study, chosen).q if significance else None)


@question("leakage", "fdr copies")
def leakage(
    asked: Asked,
    train_fit: Annotated[
        str | None,
        typer.Option(help="Name of a fit of the training examples (train_margins): compare datamodels, not weights."),
    ] = None,
    inputs: Annotated[
        bool, typer.Option("--inputs/--no-inputs", help="Compare pictures, texts or rows of the study, too.")
    ] = True,
) -> Result:
    """Rank the training units that stand out for one target, by weight or because their inputs are alike.

    --out review.csv writes all pairs, with an empty column `decision` for the reviewer.
    """
    train = None if train_fit is None else asked.fit_named(train_fit)
    return asked.answer(train=train, inputs=None if inputs else False)


@question("significance", "fdr method per_target", verify=False)
def significance(asked: Asked) -> Result:
    """List the pairs of unit and target whose weight is real, with unbiased weight, standard error, p- and q-value."""
    from subtrain.cli.shared.progress import stages

    with stages() as progress:
        return asked.answer(progress=progress)


@question("embedding", "components of", targets=False)
def embed(
    asked: Asked,
    component: Component = 0,
    units: Annotated[int, typer.Option(help="With --verify: number of units to remove at each end.")] = 20,
) -> Result:
    """Find the principal components of the datamodels, and the targets and units at their ends.

    --verify retrains without the units at each end of a component, and shows whether the component is a cause.
    """
    asked.verify_with = {"component": component, "units": units}
    return asked.answer(labels=asked.labels())


@question("clusters", "k of affinity neighbors method", targets=False, verify=False, spelled={"method": "--map"})
def clusters(asked: Asked) -> Result:
    """Group the datamodels, and show the training units that each group has in common."""
    return asked.answer(labels=asked.labels())


@question("compare", "components", targets=False)
def compare(
    asked: Asked,
    study_b: Annotated[
        str, typer.Argument(metavar="STUDY_B", help="Study of algorithm B, with the same units and targets.")
    ],
    fit_b: Annotated[str, typer.Option(help="Name of the fit of B.")] = "default",
    component: Component = 0,
    side: Annotated[
        str, typer.Option(help="With --verify: a direction of A without B (a), or of B without A (b).")
    ] = "a",
    units: Annotated[int, typer.Option(help="With --verify: number of units to remove.")] = 20,
    task_b: Annotated[str | None, typer.Option(help="The task of B; --task is that of A.")] = None,
    param_b: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="A parameter of the task of B; repeatable.")
    ] = None,
) -> Result:
    """Find the training units that move the outputs of one algorithm and not those of the other.

    STUDY is that of algorithm A. --verify retrains both algorithms without the units of one direction.
    """
    from subtrain.cli.shared.trusted_study import open_to_train
    from subtrain.fits import load_fit

    a, b = asked.study, open_to_train(study_b, task_b, param_b, asked.trust)
    names = (a.name, b.name) if a.name != b.name else (f"{a.name} {asked.fit}", f"{b.name} {fit_b}")
    asked.verify_with = {"component": component, "side": side, "units": units}
    return asked.answer(other=load_fit(b, fit_b), other_study=b, names=names, labels=asked.labels())


@question("audit", "output", fit=False, targets=False, verify=False, trains=True)
def audit(
    asked: Asked,
    linearity: Annotated[
        bool, typer.Option("--linearity", help="Train models on correlated masks to see how much is linear.")
    ] = False,
    pairs: Annotated[
        int, typer.Option(help="With --linearity: number of held-out subsets that get 3 partners each.")
    ] = 100,
    pilot: Annotated[
        bool, typer.Option("--pilot", help="Train a grid of masks and seeds instead, to see which design suits.")
    ] = False,
    models: Annotated[int, typer.Option(help="With --pilot: number of models of the grid, 32 or more.")] = 128,
) -> Result:
    """Measure how much of the output is seed noise, and the noise ceiling of the LDS (an upper bound).

    --linearity also measures how much of the rest is linear in the mask. --pilot needs no model of the study: it
    measures what the seed does for all masks alike, and suggests the kind, the models and the seeds of a design.
    """
    from subtrain.uses.audit import RUNS

    if pilot:
        if linearity:
            raise InputError("give either --linearity or --pilot")
        asked.question = "pilot"
        return asked.answer(models=models, **asked.training)

    found = asked.answer(pairs=pairs if linearity else 0, **asked.training)
    asked.rows = 5
    reached = ", ".join(f"{runs}: {found.ceiling_of(runs):.3f}" for runs in RUNS)  # type: ignore[attr-defined]
    asked.notes.append(f"Ceiling (upper bound) by the number of runs of each held-out subset: {reached}")
    return found


@question("budget", "lds seconds table_cost output", fit=False, targets=False, verify=False, trains=True)
def budget(
    asked: Asked,
    alphas: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="Compare these alphas instead, as in 0.1,0.2,0.5; this trains models."),
    ] = None,
    pilot: Annotated[int, typer.Option(help="With --alphas: number of models of each pilot study.")] = 500,
) -> Result:
    """Estimate how many models, and how much time, the LASSO needs to reach an LDS, and what a guess saves of it.

    The estimate continues the study's learning curve. --alphas compares alphas in pilot studies instead.
    """
    if sum(each is not None for each in (asked.given["lds"], asked.given["seconds"], alphas)) != 1:
        raise InputError(
            "give one of --lds, the score to reach, --seconds, the time that there is, and --alphas, those to compare"
        )
    if alphas is None:
        return asked.answer()
    asked.question = "compare_alphas"
    asked.given = {"alphas": shares(alphas, "alphas"), "pilot": pilot, "output": asked.given["output"]}
    return asked.answer(**asked.training)


@question("select", "keep drop others seed better", spelled={"others": "--judge"})
def select(
    asked: Asked,
    worst_label: Annotated[
        bool, typer.Option("--worst-label", help="With --drop: choose for the label on which the models do worst.")
    ] = False,
    randoms: Annotated[int, typer.Option(help="With --verify: number of random sets to compare with.")] = 5,
) -> Result:
    """Choose the units to train on, to do better on some targets.

    --verify trains on the chosen units, on as many random ones, and on all.
    """
    asked.verify_with = {"randoms": randoms, "seed": asked.given["seed"]}
    if not worst_label:
        return asked.answer()
    keep, targets = asked.given.pop("keep"), asked.given.pop("targets")
    if asked.given["drop"] is None or keep is not None or targets is not None:
        raise InputError("--worst-label goes with --drop, not with --keep or --targets")
    asked.question = "debias_group"
    return asked.answer(groups=asked.target_labels().tolist())


@question("mislabeled", "output by known", fit=False, targets=False)
def mislabeled(
    asked: Asked,
    fit: Annotated[
        str | None, typer.Option("--fit", help="Name of a fit of the same output, for two more scores.")
    ] = None,
    drop: Annotated[
        int | None,
        typer.Option(help="With --verify: number of suspicious examples to leave out. (default: all suspects)"),
    ] = None,
) -> Result:
    """Rank the training examples by how much the models that were not trained on them contradict their labels.

    --verify retrains without the most suspicious examples, and without as many random ones.
    """
    asked.verify_with = {"drop": drop}
    return asked.answer(dm=None if fit is None else asked.fit_named(fit))


@question("poison", "size without known", targets=False)
def poison(
    asked: Asked,
    triggered: Annotated[
        str | None, typer.Option(metavar="LIST", help="With --verify: test targets that carry the trigger.")
    ] = None,
) -> Result:
    """Find the set of units that depend most on one another, as in a backdoor. The fit must be of a train-set output.

    --verify retrains without the set, and without as many random units.
    """
    from subtrain.uses.training_sets import split_targets

    if asked.verify:
        groups = split_targets(asked.study, "test_margins", triggered=numbers(triggered, "triggered"))
        asked.verify_with = {"output": "test_margins", "groups": groups}
    return asked.answer(without=asked.given["without"] or [])


@question("banzhaf", "utility", fit=False, verify=False)
def value(
    asked: Asked,
    method: Annotated[str, typer.Option(help=f"{', '.join((*PAIRS, *GAMES))}.")] = "banzhaf",
    output: Annotated[str | None, typer.Option(help="Name of an output. (default: the first that suits)")] = None,
) -> Result:
    """Estimate the value of each unit from differences of means, with standard errors. This needs no fit."""
    if method not in (*GAMES, *PAIRS):
        raise InputError(f"unknown method {method!r}; choose from {', '.join((*PAIRS, *GAMES))}")
    if method in PAIRS and (asked.given["utility"] or asked.targets):
        raise InputError(f"{method} is of every target by itself: it takes neither --utility nor --targets")
    asked.question = PAIRS.get(method, method)
    asked.given = {} if method in PAIRS else asked.given
    return asked.answer(output=output)
