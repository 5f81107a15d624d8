"""A noise ceiling is an upper bound of what a perfect predictor would score: measured, and said where one is shown."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from subtrain import Datamodels, evaluate, learning_curve
from subtrain.cli.verbs import demo as cli_demo
from subtrain.cli.verbs import evaluate as cli_evaluate
from subtrain.cli.verbs import status as cli_status
from subtrain.evaluation import Interval, ceilings, correlation, rank
from subtrain.uses.alphas import Alphas
from subtrain.uses.audit import audit
from subtrain.uses.budget import Budget
from subtrain.uses.kit.effect_agreement import Agreement
from subtrain.uses.kit.removals import removals
from worlds import linear, weights

PROJECT = Path(__file__).parents[1]
BOUND = re.compile(r"upper bound|at most|unknown")
SUBSETS, TARGETS, RUNS = 300, 60, (2, 5)
NORMAL = ("normal signal, normal noise",)


def worlds_of(runs: int, share: float):
    """name -> (outputs [S, R, T], a rising function of their expectation [S, T]); `share` of variance is signal."""
    random = np.random.default_rng(0)
    signal = np.sqrt(share) * random.normal(size=(SUBSETS, TARGETS))
    seed = np.sqrt(1 - share) * random.normal(size=(SUBSETS, runs, TARGETS))
    heavy = np.sqrt(1 - share) * random.standard_t(3, size=seed.shape) / np.sqrt(3)
    lopsided = np.sqrt(1 - share) * (random.exponential(size=seed.shape) - 1)
    plain = signal[:, None] + seed
    return {
        "normal signal, normal noise": (plain, signal),
        "skewed": (np.exp(2 * plain), signal),
        "saturated": (np.tanh(2 * plain), signal),
        "heavy-tailed noise": (signal[:, None] + heavy, signal),
        "skewed noise": (signal[:, None] + lopsided, signal),
        "skewed signal": (np.exp(2 * signal)[:, None] + seed, signal),
        "losses": (np.logaddexp(0, -3 * plain), -signal),
        "never below zero": (np.maximum(0, plain), signal),
        "right or wrong": ((plain > 0.5) * 1.0, signal),
    }


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("runs", RUNS)
def test_what_is_said_is_never_below_what_a_perfect_predictor_scores(runs, share):
    for name, (outputs, expected) in worlds_of(runs, share).items():
        ranks = np.stack([rank(outputs[:, k]) for k in range(runs)], axis=1)
        of_mean, of_one, _ = (np.mean(figure) for figure in ceilings(ranks))
        best = np.mean(correlation(rank(expected), rank(outputs.mean(axis=1))))
        best_one = np.mean([correlation(rank(expected), ranks[:, k]) for k in range(runs)])
        assert of_mean > best - 0.01, name
        assert of_one > best_one - 0.01, name
        if name in NORMAL:
            assert of_mean < best + 0.02
            assert of_one < best_one + 0.02


def test_for_skewed_outputs_it_is_well_above_as_the_docs_say():
    outputs, expected = worlds_of(5, 0.2)["skewed"]
    said = np.mean(ceilings(np.stack([rank(outputs[:, k]) for k in range(5)], axis=1))[0])
    assert 0.07 < said - np.mean(correlation(rank(expected), rank(outputs.mean(axis=1)))) < 0.15


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    from subtrain import Design, Study
    from subtrain.collection import train_segment

    made = Study.create(
        tmp_path_factory.mktemp("bound") / "s", linear(noise=1.0), Design(models=80, heldout=12, replicates=2)
    )
    for where in made.segments:
        train_segment(made, where)
    return made


@pytest.fixture(scope="module")
def dm():
    weight, bias = weights(20, 3)
    return Datamodels(weight, bias, np.zeros(3), {"output": "test_margins"})


def printed_by(show, capsys) -> str:
    """What a command's table printed; a narrow terminal breaks its headings."""
    show()
    return " ".join(capsys.readouterr().out.split())


def interval(value: float) -> Interval:
    return Interval(value, value, value)


def agreement(**given) -> Agreement:
    plain = {name: interval(0.8) for name in ("spearman", "pearson", "slope", "target_spearman", "target_pearson")}
    return Agreement(**{"effects": 9, "targets": 3, "ceiling": 0.9, "target_ceiling": 0.9} | plain | given)


def alphas(**given) -> Alphas:
    one = {name: np.array([0.8, 0.9]) for name in ("lds", "low", "high", "ceiling", "noise_share", "seconds")}
    return Alphas("test_margins", 400, 3, np.array([0.2, 0.5]), **one | given)


def texts(figure) -> str:
    """Every word of a figure."""
    from matplotlib.text import Text

    figure.canvas.draw()
    return " ".join(found.get_text() for found in figure.findobj(Text))


def test_results_say_it(study, dm):
    found, curve = evaluate(dm, study, bootstrap=10), learning_curve(study)
    audited = audit(study, pairs=0)
    assert repr(found).count("ceiling (upper bound) ") == 2
    assert "upper bound" in found._repr_html_()
    assert str(curve).count("ceiling (upper bound) ") == len(curve.points)
    assert "LDS ceiling (upper bound) " in repr(audited)
    assert "upper bound" in texts(audited.figure())
    assert repr(alphas()).count("of at most") == 2
    assert "upper bound" in texts(alphas().figure())
    assert str(agreement()).count("of at most 0.900") == 2
    planned = Budget(0.9, interval(200), 0.95, 80, 1.0, curve, np.array([0.9, 50.0, 1.0]))
    assert "ceiling (upper bound)" in texts(planned.figure())


def test_results_above_their_estimate_or_without_one_say_so_too(study, dm):
    above = str(agreement(pearson=interval(0.95)))
    assert "Pearson 0.950 at its upper bound of about 0.900" in above
    unknown = np.array([0.9, np.nan])
    for text in (repr(alphas(ceiling=unknown)), str(agreement(ceiling=np.nan, target_ceiling=np.nan))):
        assert "nan" not in text
        assert "unknown" in text


def test_counterfactuals_say_it_in_word_and_picture(study, dm):
    from subtrain.uses.counterfactual import Counterfactuals

    what = removals(dm, None, [0, 1, 2], sizes=[2, 4])
    effects, random = np.arange(1.0, len(what) + 1), np.random.default_rng(0)
    observed = effects[:, None] + 0.1 * random.normal(size=(effects.size, 3))
    control = 0.1 * random.normal(size=observed.shape)
    found = Counterfactuals(what, effects, observed, control, "full", "test_margins", 20)
    assert str(found.agreement) in repr(found)
    assert texts(found.figure()).count("of at most") + texts(found.figure()).count("at its upper bound") == 2


def test_commands_say_it(study, dm, capsys):
    found = evaluate(dm, study, bootstrap=10)
    assert "upper bound" in printed_by(lambda: cli_evaluate.show(found), capsys)
    assert "upper bound" in printed_by(lambda: cli_status._show(learning_curve(study)), capsys)
    part = SimpleNamespace(init="own", accuracy=0.9, evaluation=found, trained=1, seconds=1.0, study=study, label="x")
    part.datamodels = dm
    made = SimpleNamespace(parts=[part], seconds=1.0, report="report.html")
    shown = printed_by(lambda: cli_demo._show(made), capsys)
    assert "ceiling" not in shown
    assert shown.count("upper bound") >= 2


def test_no_type_has_a_ceiling_that_is_not_looked_at_here():
    texts_of = (path.read_text(encoding="utf-8") for path in (PROJECT / "src/subtrain").rglob("*.py"))
    trees = (ast.parse(text) for text in texts_of if "ceiling:" in text)
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    held = {
        c.name for c in classes for s in c.body if isinstance(s, ast.AnnAssign) and "ceiling" in ast.unparse(s.target)
    }
    # What the explorer's answers carry is shown by its page, which is read below.
    shown = {"CurvePoint", "TargetRow", "Heldout", "TargetDetail", "EvaluationOf"}
    assert held == {"Evaluation", "Point", "Agreement", "Alphas", "Audit"} | shown


@pytest.mark.parametrize("folder", ["docs", "README.md", "web/src/views", "benchmarks/results"])
def test_no_page_speaks_of_a_ceiling_without_saying_it(folder):
    where = PROJECT / folder
    files = [where] if where.is_file() else [p for p in where.rglob("*") if p.suffix in (".md", ".tsx")]
    files = [p for p in files if p.name != "pytorch.md"]  # whose ceilings are those of a GPU
    spoken = [p for p in files if re.search(r"\bceilings?\b", p.read_text(encoding="utf-8"))]
    silent = [p.name for p in spoken if not re.search(r"upper\s+bound|at\s+most", p.read_text(encoding="utf-8"))]
    assert files
    assert not silent
