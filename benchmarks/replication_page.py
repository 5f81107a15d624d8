"""The page that the replication writes: its tables in words, its two own figures, and what differs from the paper."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from planted_duplicates import KINDS

NAMES = {"fashion": "Fashion-MNIST, MLP-128", "cifar": "CIFAR-10 (lossless subset), CNN 8-16"}
DIFFERENCES = """\
## What differs from the paper, and why

| | the paper | here |
|---|---|---|
| data | CIFAR-10, 50,000 images; FMoW, 21,404 | Fashion-MNIST, 5,000; CIFAR-10, 1,000 |
| network | ResNet-9, ResNet-18 | an MLP of 128 units; a CNN of 8 and 16 channels |
| initialization | a new one for each model | shared by all models |
| models | 300,000 at α = 0.5, up to 1.5 million | thousands, see above |
| evaluated on | means of ten runs, pooled over targets | means of five runs, per target and pooled |
| removals | 300 targets, 10 to 1,280 of 50,000 units, 20 runs | fewer targets and sizes, 10 runs |
| duplicates | found by inspection: about 10 % of CIFAR-10's test set | planted, so that the recall is known |

Data, networks and numbers of models are smaller, so that everything takes minutes on two cores instead of weeks on
eight GPUs. A shared initialization leaves less seed noise, so that fewer models give the same LDS. Pooled scores mostly
measure how targets differ, so this page has both kinds.

In the planted study 40 of 5,000 training images are changed copies of 40 further targets; no other figure on this page
uses those targets.
"""


def page(found):
    lines = [
        "# The paper's experiments at a small scale",
        "",
        "`python benchmarks/replication.py` makes this page: every number comes from models that it trained, on",
        f"{found['workers']} cores of {found['cpu']} ({found['versions']}; load {found['load_before']} before,",
        f"{found['load_after']} after). Intervals are 95 %.",
        "",
    ]
    for name, one in found["sets"].items():
        lines += _section(name, one)
    return "\n".join(lines) + "\n" + DIFFERENCES


def _section(name, one):
    lines = [
        f"## {NAMES[name]}",
        "",
        f"{one['about']} n = {one['n']:,} units, {one['targets']} targets, margins, accuracy {one['accuracy']:.1%} at",
        f"the first α below; {one['models']:,} models on random subsets, {one['retrained']:,} on chosen ones.",
        "",
        "### LDS against models and α",
        "",
        "The LDS is per target, averaged over targets, against means of the replicates on held-out subsets.",
        "",
        "| α | models | held-out subsets | LDS | noise ceiling (upper bound) |",
        "|---|---|---|---|---|",
    ]
    for point in one["lds"]:
        lines.append(
            f"| {point['alpha']} | {point['models']:,} | {point['subsets']} | {_interval(point['lds'])} | "
            f"{point['ceiling']:.3f} |"
        )
    lines += ["", f"![LDS against models]({name}-lds.png)", "", *_removals(name, one), *_support(name, one)]
    if "mislabeling" in one:
        lines += ["### Mislabeling", "", one["mislabeling"]["says"], ""]
        lines += [f"![Mislabeling]({name}-mislabeling.png)", ""]
    if "leakage" in one:
        lines += _leakage(one)
    if "clusters" in one:
        lines += ["### Clusters", "", one["clusters"]["says"], "", f"![Clusters]({name}-clusters.png)", ""]
    return lines


def _removals(name, one):
    found = one["agreement"]
    return [
        "### Removals, predicted against observed",
        "",
        f"{found['effects']} removals of the most helpful or most harmful units from the whole training set. An effect",
        f"is the mean of {one['runs']} models retrained without them, minus the mean of {one['runs']} trained on",
        "everything.",
        "",
        "| | pooled over targets and sizes | ceiling (upper bound) | per target | ceiling (upper bound) | "
        "the paper (pooled) |",
        "|---|---|---|---|---|---|",
        f"| Spearman | {_interval(found['spearman'])} | {found['ceiling']:.3f} | "
        f"{_interval(found['target_spearman'])} | {found['target_ceiling']:.3f} | 0.98 (CIFAR-10), 0.94 (FMoW) |",
        f"| Pearson | {_interval(found['pearson'])} | {found['ceiling']:.3f} | | | 0.96, 0.90 |",
        f"| slope | {_interval(found['slope'])} | | | | |",
        "",
        "| kind | units | mean predicted effect | mean observed effect | spread over targets |",
        "|---|---|---|---|---|",
        *_by_size(one["removals"]["table"]),
        "",
        f"![Removals]({name}-removals.png)",
        "",
    ]


def _by_size(table):
    """Means over targets of each kind of removal; of those with fewer units than asked for, by themselves."""
    rows = defaultdict(list)
    for kind, size, *effects in zip(*(table[n] for n in ("kind", "size", "predicted", "observed")), strict=True):
        rows[kind, size].append(effects)
    for (kind, size), effects in sorted(rows.items()):
        if len(effects) > 2:
            predicted, observed = np.array(effects).T
            yield f"| {kind} | {size} | {predicted.mean():.3f} | {observed.mean():.3f} | {observed.std():.3f} |"


def _support(name, one):
    lines = [
        "### Data support",
        "",
        f"Targets whose mean margin over {one['runs']} retrained models is below zero without their estimated support.",
        "",
        "| estimated from | ×1 | ×1.2 |",
        "|---|---|---|",
    ]
    starts = {
        "support": "the predicted margin, as in the paper",
        "support-calibrated": "the margin of retrained models",
    }
    for kind, words in starts.items():
        shares = one["certified"][kind]
        lines.append(f"| {words} | {_share(shares['1'])} | {_share(shares['1.2'])} |")
    lines += ["| the paper, CIFAR-10 | 67 % | 92 % |", "", one["support"]["says"], ""]
    return [*lines, *(f"![Data support]({name}-{kind}.png)" for kind in ("support", "support-calibrated")), ""]


def _leakage(one):
    lines = [
        "### Planted duplicates: recall at 1 % false positives",
        "",
        "A false positive is a clean target with a score as high. A duplicate counts as found if the right training",
        "image is named.",
        "",
        f"| score | all | {' | '.join(KINDS)} |",
        "|---" * (2 + len(KINDS)) + "|",
    ]
    for score, recall in one["leakage"].items():
        lines.append(f"| {score} | {' | '.join(f'{recall[kind]:.0%}' for kind in ('all', *KINDS))} |")
    return [*lines, ""]


def _interval(found):
    value, low, high = found
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def _share(found):
    value, low, high = found
    return f"{value:.0%} ({low:.0%} to {high:.0%})"


def figures(found, folder):
    """LDS against models, a line an alpha, of each data set."""
    from matplotlib.figure import Figure

    for name, one in found["sets"].items():
        picture = Figure(figsize=(5.6, 3.6), layout="constrained")
        axes = picture.add_subplot()
        for k, alpha in enumerate(dict.fromkeys(point["alpha"] for point in one["lds"])):
            points = [point for point in one["lds"] if point["alpha"] == alpha]
            models, values = [p["models"] for p in points], [p["lds"] for p in points]
            error = [[v - low for v, low, _ in values], [high - v for v, _, high in values]]
            axes.errorbar(models, [v for v, _, _ in values], error, fmt="o-", color=f"C{k}", label=f"α = {alpha}")
            axes.axhline(points[-1]["ceiling"], color=f"C{k}", lw=0.8, ls=":")
        axes.set(xscale="log", xlabel="models fitted on", ylabel="LDS (dotted: upper bound)", ylim=(0, 1))
        axes.legend(frameon=False)
        axes.set_title(
            f"{NAMES[name]}: per target, mean over {one['targets']} targets, n = {one['n']:,};\n"
            f"{one['lds'][0]['subsets']} held-out subsets, means of replicates",
            fontsize="small",
        )
        picture.savefig(folder / f"{name}-lds.png", dpi=80)
