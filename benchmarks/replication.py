"""The paper's experiments at a small scale, on Fashion-MNIST and CIFAR-10: one command, a page with figures.

    python benchmarks/replication.py                   # about 20 minutes of training on two idle cores
    python benchmarks/replication.py --minutes 60      # three times as many models; goes on from what is there
    python benchmarks/replication.py --quick           # does it run? (a few models of one epoch, prints only)

Trains thousands of models on random subsets at several alphas, fits datamodels, and checks what they say by retraining:
LDS against the number of models, removals predicted against observed, data support at x1 and x1.2, mislabeling,
planted duplicates. Kill it whenever you like; run again, it goes on where it was. Writes README.md, results.json and
figures into docs/explanation/replication. --minutes is what the plan is scaled to, at the rate of two cores of 2023;
it is no limit.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import replication_page
import replication_tasks
from machine import cores, cpu, load, versions
from planted_duplicates import recalls

import subtrain as st
from subtrain.datamodels import Datamodels
from subtrain.designs.model_rows import EVALUATION, FIT
from subtrain.errors import InputError
from subtrain.evaluation import score
from subtrain.evaluation_models import even_replicates
from subtrain.regression.fit_warnings import FitWarning

HERE = Path(__file__).parent
MINUTES = 20
OUTPUT, RUNS, REPLICATES = "test_margins", 10, 5
# For 20 minutes: models to fit on and subsets to judge on at each alpha (the first is what the rest builds on); targets
# and sizes of the removals; targets of the support; targets and sizes of the mislabeling.
PLANS = {
    "fashion": {
        "alphas": {0.5: (3000, 50), 0.2: (3000, 50), 0.1: (3000, 50)},
        "clean": replication_tasks.CLEAN,
        "removals": (40, (20, 80, 320)),
        "support": 40,
        "mislabeling": (20, (4, 16, 64), 5),
    },
    "cifar": {
        "alphas": {0.5: (1500, 40)},
        "clean": 100,
        "removals": (20, (10, 40)),
        "support": 20,
        "mislabeling": None,
    },
}


def scaled(plan, by):
    """The plan for `by` times as many minutes: more models, and more targets, but the same runs, sizes and alphas."""
    if by == 1:
        return plan

    def times(count, least, most=10**9):
        return max(least, min(most, round(count * by)))

    targets, sizes = plan["removals"]
    found = plan | {
        "alphas": {a: (times(m, 40), times(s, 3, 300)) for a, (m, s) in plan["alphas"].items()},
        "removals": (times(targets, 3, plan["clean"]), sizes),
        "support": times(plan["support"], 3, plan["clean"]),
    }
    if plan["mislabeling"]:
        count, ladder, runs = plan["mislabeling"]
        found["mislabeling"] = (times(count, 2, plan["clean"]), ladder, runs)
    return found


def replicated(name, plan, given, folder):
    """All experiments of one data set; figures go to `given.out`."""
    began, done = time.monotonic(), 0
    found = {"lds": []}
    params = {"data": str(given.data.resolve())} | ({"epochs": 1} if given.quick else {})
    studies = {}
    for alpha, (models, heldout) in plan["alphas"].items():
        studies[alpha] = study = grown(folder / f"{name}-{alpha}", name, params, alpha, models, heldout)
        done += study.collect().trained
        found["lds"] += curve(study, alpha, plan["clean"], points=1 if given.quick else 3)
    study = next(iter(studies.values()))
    dm = fitted(study)
    found["accuracy"] = float((study.read(OUTPUT, study.done(EVALUATION))[:, : plan["clean"]] > 0).mean())
    targets, sizes = plan["removals"]
    chosen = spread(plan["clean"], targets)
    runs = 2 if given.quick else RUNS
    results = {
        "removals": st.counterfactuals(dm, study, chosen, sizes).verify(runs),
        "support": st.support(dm, study, spread(plan["clean"], plan["support"])).verify(runs),
        "support-calibrated": st.support(dm, study, spread(plan["clean"], plan["support"]), calibrate=runs).verify(
            runs
        ),
    }
    if plan["mislabeling"]:
        targets, sizes, few = plan["mislabeling"]
        results["mislabeling"] = st.brittleness(dm, study, spread(plan["clean"], targets), sizes).verify(min(few, runs))
    results |= clusters(dm)
    for kind, result in results.items():
        print(f"  {result!r}", flush=True)
        found[kind] = {"says": repr(result), "table": result.to_json()}
        if not given.quick:
            save(result.figure(), given.out / f"{name}-{kind}.png")
    found["agreement"] = agreement(results["removals"])
    found["certified"] = {kind: certified(results[kind]) for kind in ("support", "support-calibrated")}
    if name == "fashion":
        x, _, x_test, _, units = replication_tasks.fashion_images(given.data)
        found["leakage"] = recalls(dm, x, x_test, units)
    retrained = sum(st.Study.open(path).models_done() for path in (study.path / "retrained").iterdir())
    models = sum(s.models_done() for s in studies.values())
    return found | {
        "about": getattr(replication_tasks, name).__doc__,
        "n": study.n,
        "targets": plan["clean"],
        "models": models,
        "retrained": retrained,
        "runs": runs,
        "seconds": round(time.monotonic() - began, 1),
        "trained_now": done,
    }


def grown(path, name, params, alpha, models, heldout):
    """The study of this alpha, with at least so many models and held-out subsets; it may hold more already."""
    design = st.Design(alpha, models, heldout=heldout, replicates=REPLICATES, kind="fixed")
    where = f"{Path(replication_tasks.__file__).resolve()}:{name}"
    try:
        study = st.Study.open(path)
    except InputError:
        return st.Study.create(path, where, design, params=params, segment=16)
    count = {role: sum(b.subsets for b in study.design.blocks if b.role == role) for role in (FIT, EVALUATION)}
    more = {"models": max(0, models - count[FIT]), "heldout": max(0, heldout - count[EVALUATION])}
    return study.extend(**more) if any(more.values()) else study


def curve(study, alpha, clean, points):
    """LDS of LASSO datamodels of a quarter, half and all of the models, on the targets without a planted duplicate."""
    rows, found = study.done(FIT), []
    held, subsets, replicates = even_replicates(study, study.done(EVALUATION))
    y = study.read(OUTPUT, held).astype(np.float64).reshape(subsets, replicates, -1)[..., :clean]
    masks = study.masks(held[::replicates])
    for m in [rows.size // 2**k for k in reversed(range(points))]:
        dm = fitted(study) if m == rows.size else lasso(study.masks(rows[:m]), study.read(OUTPUT, rows[:m])[:, :clean])
        judged = score(dm.predict(masks)[:, :clean], y)
        interval = [judged.lds.value, judged.lds.low, judged.lds.high]
        found.append({"alpha": alpha, "models": m, "lds": interval, "ceiling": judged.lds_ceiling, "subsets": subsets})
        print(f"  alpha {alpha}, {m} models: LDS {judged.lds} of at most {judged.lds_ceiling:.3f}", flush=True)
    return found


def lasso(masks, outputs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # of few models some targets cannot be predicted; LDS tells
        found = st.Lasso().fit(masks, outputs)
    return Datamodels(found.weight_.astype(np.float32), found.bias_, found.lam_, {"output": OUTPUT})


def fitted(study):
    """The datamodels of all models of the study, fitted once."""
    name = f"lasso-{study.done(FIT).size}"
    if name not in study.fits:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)
            st.fit(study, OUTPUT).save(study.path / "fits" / name)
    return st.load_fit(study, name)


def spread(targets, count):
    return np.unique(np.linspace(0, targets - 1, count).astype(int)).tolist()


def agreement(result):
    found = result.agreement
    names = ("spearman", "pearson", "slope", "target_spearman")
    intervals = {n: [getattr(getattr(found, n), part) for part in ("value", "low", "high")] for n in names}
    return intervals | {"ceiling": found.ceiling, "target_ceiling": found.target_ceiling, "effects": found.effects}


def certified(result):
    return {f"{factor:g}": [share.value, share.low, share.high] for factor, share in result.certified.items()}


def clusters(dm):
    """Clusters of the targets by their datamodels; none where too few targets have any weight."""
    try:
        return {"clusters": st.clusters(dm)}
    except InputError as error:
        print(f"  no clusters: {error}")
        return {}


def save(figure, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few models of one epoch, to see that it works")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of training that the plan is scaled to")
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--set", action="append", choices=list(PLANS), help="data set; both by default")
    parser.add_argument("--folder", type=Path, default=HERE.parent / "runs" / "replication", help="where studies are")
    parser.add_argument("--out", type=Path, default=HERE.parent / "docs" / "explanation" / "replication")
    given = parser.parse_args()
    before, found = load(), {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) if given.quick else given.folder
        folder.mkdir(parents=True, exist_ok=True)
        for name in given.set or PLANS:
            print(name, flush=True)
            found[name] = replicated(
                name, scaled(PLANS[name], 0.01 if given.quick else given.minutes / MINUTES), given, folder
            )
    about = {"workers": cores(), "cpu": cpu(), "versions": versions("numpy", "numba", "subtrain")}
    results = about | {"load_before": before, "load_after": load(), "sets": found}
    page = replication_page.page(results)
    print(page)
    if not given.quick:
        given.out.mkdir(parents=True, exist_ok=True)
        replication_page.figures(results, given.out)
        (given.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
        (given.out / "README.md").write_text(page)


if __name__ == "__main__":
    main()
