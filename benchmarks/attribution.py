"""Attribution methods beside one another: LDS of tables from K models of one study, against the same held-out subsets.

    python benchmarks/attribution.py                   # ten minutes, with the digits study of better.py there
    python benchmarks/attribution.py --quick           # does it run? (a small study, prints only)
    python benchmarks/attribution.py --page            # writes the page again, after guess.py has measured fits

Peers (benchmarks/requirements.txt) are measured where they are installed; the page says which are not. Every method
gets the parameters of the study's first K models, trained again and compared with the recorded outputs. The settings of
a peer are those of its grid (attribution_peers.py) with the highest LDS from 5 models on validation subsets, 1,000 fit
models that no method sees; held-out subsets judge what was chosen. Rows of fits come from results/guess.json, which
guess.py writes. Cost: processor seconds of one thread. Writes results/attribution.{json,md}.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import better
import guess
import numpy as np
import torch
from attribution_peers import PEERS, Networks, Peer, margins, network, tensors
from machine import cpu, load, versions
from threadpoolctl import threadpool_limits

import subtrain as st
from subtrain.designs.model_rows import FIT
from subtrain.evaluation import score
from subtrain.tasks.digits import split_digits
from subtrain.trainers import mlp
from subtrain.trainers.kit import dense_layers
from subtrain.trainers.kit.many_models import minibatch_order, writable
from subtrain.trainers.kit.sgd import Sgd

HERE = Path(__file__).parent
TUNED, COUNTS = 5, (5, 20)
VALIDATION = slice(3000, 4000)
EPOCHS = (4, 8, 12, 16, 20)
PACKAGES = {"traker": "trak", "dattri": "dattri", "captum": "captum", "kronfluence": "kronfluence"}
# Which fits of results/guess.json are shown: how many models, what fits them, and its name on the page.
FITS = [(m, "lasso", "LASSO") for m in (50, 100, 250, 2000)]
FITS += [(250, "shared", "`SharedPrior`")]
FITS += [(m, f"guess {k}", f"`SharedPrior(guess=…)`, K = {k}") for m in (50, 100, 250) for k in COUNTS]


def trained(study, k):
    """The first K models of a digits study, trained again: their outputs must be those that are recorded."""
    rows = study.done(FIT)[:k]
    # A study that was begun by position has a task without an earlier one.
    recipe = Sgd(order="position" if study.task.earlier is None else "unit")
    train, test = ((x.astype(np.float32), y.astype(np.int64)) for x, y in split_digits(study.n, targets(study), 0))
    x, sizes = writable(train[0]), mlp.layer_sizes(train[0], (64,), 10)
    masks, passed = study.masks(rows).unpack(), []
    for mask, seed in zip(masks, study.design.seeds(rows).tolist(), strict=True):
        order = minibatch_order(np.flatnonzero(mask), seed, recipe.epochs, recipe.order)
        rates = recipe.rates(order.shape[1])
        steps, numbers = len(rates) // recipe.epochs, [np.float32(v) for v in (recipe.momentum, recipe.weight_decay)]
        found = []
        for epochs in EPOCHS:
            parameters, until = mlp.initial_parameters(sizes, seed), epochs * steps
            given = order[:epochs], recipe.batch, sizes, parameters, rates[:until]
            dense_layers.descend(x, train[1], *given, *numbers, recipe.nesterov)
            found.append((parameters, float(rates[until - 1])))
        passed.append(tuple(found))
    made = Networks(train, test, masks, tuple(sizes.tolist()), tuple(passed))
    recorded = study.read("test_margins", rows).astype(np.float32)
    for parameters, margin in zip(made.final(), recorded, strict=True):
        seen = margins(network(made.sizes, parameters)(tensors(test)[0]), tensors(test)[1]).detach().numpy()
        assert np.allclose(seen, margin, rtol=2e-3, atol=2e-3), "a network is not the one that the study recorded"
    return made


def targets(study):
    return int(np.prod(study.outputs["test_margins"].shape))


def measured(study, counts, peers, validation, quick):
    """What each table is worth, and costs."""
    models, rows = trained(study, max(counts)), []
    price = guess.cost(study, study.done(FIT)[:5])
    masks = study.masks(validation).unpack().astype(np.float64)
    truth = study.read("test_margins", validation).astype(np.float64)[:, None, :]

    def validated(table):
        return score(masks @ table, truth, bootstrap=0).lds.value

    def add(name, k, table, seconds, settings=""):
        found = st.evaluate(np.asarray(table, np.float64), study)
        lds = [found.lds.value, found.lds.low, found.lds.high]
        rows.append({"method": name, "models": k, "lds": lds, "validation": validated(table), "table": seconds})
        rows[-1] |= {"trainings": k + k * seconds / price["training"], "settings": settings}
        print(f"{name}, K = {k}: LDS {lds[0]:.3f}, {seconds:.3f} s a table; {settings}", flush=True)
        return found.lds_ceiling

    for k in counts:
        made = st.guess(study, k, name=f"attribution-{k}", progress=False)
        ceiling = add("`st.guess`", k, sum(made.tables()), price["table"], "nothing to choose")
    missing = {peer.name: "not installed" for peer in peers if find_spec(peer.module) is None}
    for peer in peers:
        if peer.name in missing:
            continue
        try:
            settings, tried = chosen(peer, models.first(min(TUNED, *counts)), validated, quick)
            for k in counts:
                began = time.process_time()
                table = peer.table(models.first(k), **settings)
                add(peer.name, k, table, (time.process_time() - began) / k, said(settings))
            rows[-1]["tried"] = tried
        except Exception as error:  # a peer that fails is a row of the page
            missing[peer.name] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    return {"cost": price, "ceiling": ceiling, "rows": rows, "missing": missing}


def chosen(peer: Peer, models, validated, quick):
    """The settings with the highest LDS on validation subsets, and what each gave."""
    tried = []
    for settings in peer.settings[: 1 if quick else None]:
        try:
            found = validated(peer.table(models, **settings))
        except ArithmeticError:  # a matrix that has no inverse
            found = float("nan")
        except RuntimeError as error:
            if "singular" not in str(error):
                raise
            found = float("nan")
        tried.append({**settings, "lds": found})
        print(f"  {peer.name}, {said(settings)}: {found:.4f} on validation subsets", flush=True)
    best = int(np.nanargmax([one["lds"] for one in tried]))
    return peer.settings[best], tried


def said(settings):
    """In words, as "damping 0.02, iterations 10"."""
    words = {True: "yes", False: "no", None: "by its heuristic"}
    texts = {
        k: words[v] if v is None or isinstance(v, bool) else f"{v:g}" if isinstance(v, float) else v
        for k, v in settings.items()
    }
    return ", ".join(f"{name} {text}" for name, text in texts.items())


def fits(path, cost):
    """Rows of fits on the same study, as guess.py measured them."""
    if not path.exists():
        return []
    title = guess.TITLES["digits"]
    row = next((row for row in json.loads(path.read_text())["rows"] if row["task"] == title), None)
    points = {(p["models"], p["estimator"]): p for p in row["points"]} if row else {}
    found = []
    for m, estimator, name in FITS:
        if (m, estimator) in points:
            tables = int(estimator.split()[1]) if estimator.startswith("guess") else 0
            trainings = m + tables * cost["table"] / cost["training"]
            found.append({"method": name, "models": m, "lds": points[m, estimator]["lds"], "trainings": trainings})
    return found


def page(found):
    """Sorted from the best to the worst, by what they were given."""
    cost, ceiling = found["cost"], found["ceiling"]
    lines = ["# Attribution methods beside one another", ""]
    lines += [f"{better.TITLES['digits']}; {found['subsets']} held-out subsets x 5 runs, ceiling (upper bound)"]
    lines += [f"{ceiling:.3f}. LDS with its 95 % interval. Training a model takes {cost['training']:.4f} processor"]
    lines += ["seconds; the cost is that of the models and of the tables. Every method needs the parameters of the K"]
    lines += [
        "models: where they were not kept, K more trainings. Settings of peers were chosen on validation subsets,"
    ]
    lines += ["from 5 models.", ""]
    lines += ["## Tables from K models", ""]
    lines += ["| method | K | LDS | of the ceiling | seconds a table | cost in trainings | settings chosen |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for row in sorted(found["rows"], key=lambda row: (row["models"], -row["lds"][0])):
        cells = [row["method"], f"{row['models']}", interval(row["lds"]), f"{row['lds'][0] / ceiling:.0%}"]
        cells += [f"{row['table']:.3f}", f"{row['trainings']:,.0f}", row["settings"]]
        lines.append("| " + " | ".join(cells) + " |")
    if {peer.name for peer in PEERS} <= {row["method"] for row in found["rows"]}:
        lines += ["", "Every peer is installed and ran."]
    for name, why in found["missing"].items():
        lines += ["", f"Not measured: {name}, {why}."]
    if not found["fits"]:
        return "\n".join([*lines, ""])
    lines += ["", "## Fits that the outputs of more models decide", ""]
    lines += ["| fit | models | LDS | of the ceiling | cost in trainings |", "|---|---|---|---|---|"]
    for row in found["fits"]:
        cells = [row["method"], f"{row['models']:,}", interval(row["lds"]), f"{row['lds'][0] / ceiling:.0%}"]
        lines.append("| " + " | ".join([*cells, f"{row['trainings']:,.0f}"]) + " |")
    return "\n".join([*lines, ""])


def interval(lds):
    return f"{lds[0]:.3f} [{lds[1]:.3f}, {lds[2]:.3f}]"


def measured_here(given):
    """On the study of better.py, which is collected where it is not there; on a small one if `given.quick`."""
    torch.set_num_threads(1)
    before = load()
    peers = [p for p in PEERS if not given.method or any(part in p.name for part in given.method)]
    with tempfile.TemporaryDirectory() as scratch:
        if given.quick:
            study, counts, validation = better.collected("digits", None, Path(scratch), 50, 5), (2,), slice(30, 50)
        else:
            study, counts, validation = opened(given.folder), COUNTS, VALIDATION
        with threadpool_limits(1):  # processor seconds of all methods are those of one thread
            found = measured(study, counts, peers, study.done(FIT)[validation], given.quick)
        found["subsets"] = study.done("evaluation").size // better.REPLICATES
    about = {"cpu": cpu(), "versions": versions("numpy", "torch", "subtrain", *installed()), "load": [before, load()]}
    return about | found


def opened(folder):
    """The digits study in this folder, or a new one."""
    if (folder / "digits").exists():
        return st.Study.open(folder / "digits", better.digits())
    folder.mkdir(parents=True, exist_ok=True)
    return better.collected("digits", None, folder, better.MODELS, better.HELDOUT["digits"])


def installed():
    return [package for package, module in PACKAGES.items() if find_spec(module)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="50 models, one setting of each peer, prints only")
    parser.add_argument("--page", action="store_true", help="measure nothing, write the page of what was measured")
    parser.add_argument("--method", action="append", help="part of a peer's name; all by default")
    parser.add_argument("--folder", type=Path, default=HERE.parent / "runs" / "better", help="where the study is")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    given = parser.parse_args()
    kept = given.out / "attribution.json"
    found = json.loads(kept.read_text()) if given.page else measured_here(given)
    found["fits"] = fits(given.out / "guess.json", found["cost"]) or found.get("fits", [])
    print(page(found))
    if not given.quick:
        given.out.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(found, indent=1) + "\n")
        kept.with_suffix(".md").write_text(page(found))


if __name__ == "__main__":
    main()
