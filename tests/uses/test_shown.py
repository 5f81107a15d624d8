"""What every result shows, in words, as a table and as JSON: no words of numpy's, no -0, nan or infinity."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
import warnings

import numpy as np
import pytest

import subtrain as st
from subtrain import uses
from subtrain.cli.shared.results import _cell, _csv
from subtrain.system.notebook import html_table
from subtrain.tasks import batch
from subtrain.uses.alphas import Alphas
from subtrain.uses.brittleness import Brittleness
from subtrain.uses.kit.result import table_json

N, TARGETS, CONSTANT, UNMOVED = 16, 6, 4, 5
UGLY = re.compile(r"np\.|array\(|\bnan\b|\binf\b|(?<![\w.,])-0(?:\.0+)?(?![\d.])|<subtrain|object at")


NEED_TWO = ("audit",)


def world(noise: float = 0.3):
    """A task in which one target's output never changes, and nothing moves another but its seed, by very little."""
    weight = np.random.default_rng(0).normal(size=(N, TARGETS))
    weight[:, [CONSTANT, UNMOVED]] = 0
    size = np.array([noise] * 4 + [0, 1e-9])

    def train(masks, seeds):
        each = np.stack([np.random.default_rng(int(s)).normal(size=TARGETS) for s in seeds])
        test = masks @ weight + size * each
        logits = np.stack([test, -test, 0 * test - 3], axis=2)
        return {"test_margins": test, "test_logits": logits, "train_margins": masks + 0.01 * each[:, :1]}

    shapes = {"test_margins": (TARGETS,), "test_logits": (TARGETS, 3), "train_margins": (N,)}
    return batch(
        train, N, {name: st.Output(shape, "float64") for name, shape in shapes.items()}, size=64, data=[weight]
    )


def made(make_study, **given):
    study = make_study(task=world(), models=120, heldout=8, segment=256, **given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return study, st.fit(study), st.fit(study, "train_margins")


def results(study, dm, own, other):
    """One or more of every result that this study allows, by name."""
    two, gone = np.arange(2), np.full(2, np.nan)
    return {
        "leakage": lambda: st.leakage(dm, study),
        "neighbors": lambda: st.neighbors(dm, study, k=3),
        "neighbors together": lambda: st.neighbors(dm, targets=[UNMOVED, 0], k=3, together=True),
        "support": lambda: st.support(dm, study),
        "support of one that nothing holds up": lambda: st.support(dm, study, [UNMOVED]).verify(2),
        "brittleness": lambda: Brittleness(two, two, two + 1, (two,), -np.zeros((2, 2)), gone, 2, "test_margins", N),
        "select": lambda: st.select(dm, study, keep=8),
        "select verified": lambda: st.select(dm, study, keep=8).verify(2, randoms=2),
        "debias": lambda: st.debias_group(dm, study, [i % 2 for i in range(TARGETS)], drop=3),
        "significance": lambda: st.significance(dm, study),
        "values": lambda: st.banzhaf(study, "test_margins"),
        "values of a target that nothing moves": lambda: st.banzhaf(study, "test_margins", targets=[UNMOVED]),
        "ame": lambda: st.ame(study, "test_margins"),
        "embedding": lambda: st.embedding(dm, components=2),
        "clusters": lambda: st.clusters(dm, study, 2, of="units", neighbors=3),
        "compare": lambda: st.compare(dm, study, other, components=2),
        "compare with itself": lambda: st.compare(dm, study, dm, components=2),
        "influence": lambda: st.empirical_influence(study, "test_margins"),
        "memorization": lambda: st.memorization(study, "train_margins"),
        "mislabeled": lambda: st.mislabeled(study, output="train_margins"),
        "counterfactuals": lambda: st.counterfactuals(dm, study, [0, UNMOVED], sizes=[1, 2]).verify(2),
        "counterfactuals of one": lambda: st.counterfactuals(dm, study, [0], sizes=[1]).verify(2),
        "counterfactuals untrained": lambda: st.counterfactuals(dm, study, [0], sizes=[1]),
        "tails": lambda: st.embedding(dm, study, components=2).verify(2, units=2, targets=2, draws=2),
        "without": lambda: st.compare_training_sets(study, without=[0, 1], runs=2, randoms=2),
        "audit": lambda: st.audit(study, "test_margins", pairs=4),
        "pilot": lambda: st.pilot(study, "test_margins", models=32),
        "budget": lambda: st.budget(study, 0.5, "test_margins", sizes=[50, 70, 90, 120]),
        "curve": lambda: st.learning_curve(study, [50, 80], "test_margins"),
        "evaluation": lambda: st.evaluate(dm, study),
        "evaluation without an interval": lambda: st.evaluate(dm, study, bootstrap=0),
        "poison": lambda: st.poison(own, study, size=3, known=[0, 1]),
        "agreement": lambda: st.counterfactuals(dm, study, [0], sizes=[1]).verify(2).agreement,
        "difference": lambda: st.compare(dm, study, other, study, components=1).verify(2, units=2, targets=2, draws=2),
        "alphas": lambda: Alphas("y", 400, 3, np.array([0.2, 0.5]), np.zeros(2), gone, gone, gone, gone, gone),
        "datamodels": lambda: dm,
        "study": lambda: study,
        "status": lambda: study.status(),
    }


def looked_at(name, result):
    """Everything that somebody sees of a result."""
    text = {"repr": repr(result), "str": str(result)}
    told = result.to_json() if hasattr(result, "to_json") else {}
    if hasattr(result, "table"):
        told = {"summary": repr(result), "table": table_json(result.table())}
        assert len({len(column) for column in told["table"].values()}) == 1, name
        text["cells"] = " ".join(_cell(v) for column in result.table().values() for v in column)
        text["csv"] = _csv(result).decode().replace(",", " ")
        text["html"] = html_table(repr(result), dict(result.table()))
    text["json"] = json.dumps(told, allow_nan=False)
    return text


def tabled():
    """Every class of `subtrain.uses` with a table, that is no part of another's."""
    for module in pkgutil.iter_modules(uses.__path__):
        for value in vars(importlib.import_module(f"subtrain.uses.{module.name}")).values():
            if isinstance(value, type) and hasattr(value, "table") and value.__module__.startswith("subtrain.uses"):
                yield value


@pytest.mark.parametrize("replicates", [2, 1])
@pytest.mark.filterwarnings("ignore")
def test_every_result_speaks_plainly(make_study, trained_here, replicates):
    study, dm, own = made(make_study, replicates=replicates)
    weight = dm.weight.copy()
    weight[0] += 1
    other = st.Datamodels(weight, dm.bias, dm.lam, dm.meta)
    seen, ugly = set(), []
    for name, make in results(study, dm, own, other).items():
        if replicates == 1 and name in NEED_TWO:
            continue
        result = make()
        seen.add(type(result).__name__)
        for where, text in looked_at(name, result).items():
            ugly += [f"{name} {where}: …{text[max(0, m.start() - 60) : m.end() + 20]}" for m in UGLY.finditer(text)][:2]
    assert not ugly, "\n".join(ugly)
    missing = {value.__name__ for value in tabled()} - seen - {"Result"} - ({"Audit"} if replicates == 1 else set())
    assert not missing
