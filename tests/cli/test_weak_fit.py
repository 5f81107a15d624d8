"""A weak fit says so under everything that hangs on it, and a good one nowhere."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from subtrain import Datamodels, Design, Study, evaluate
from subtrain.cli.main import main
from subtrain.collection import train_segment
from subtrain.evaluation import weakness
from subtrain.fits import load_fit, save_fit
from subtrain.tasks import batch
from subtrain.uses.kit.question import weak_fit
from subtrain.uses.leakage import leakage
from subtrain.uses.support import support

N = 24
WEIGHT = np.random.default_rng(0).normal(size=(N, N))


def world():
    def train(masks, seeds):
        noise = np.stack([np.random.default_rng(int(s)).normal(size=N) for s in seeds])
        margins = masks @ WEIGHT + 3 + 0.5 * noise
        return {"test_margins": margins, "train_margins": margins}

    return batch(train, N, {"test_margins": [N], "train_margins": [N]}, size=64, data=[WEIGHT])


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A linear world with two fits of each output: the truth, and noise beside which it is hard to see."""
    made = Study.create(tmp_path_factory.mktemp("weak") / "study", world(), Design(models=64, heldout=40))
    (made.path / "segments").mkdir(exist_ok=True)
    for where in made.segments:
        train_segment(made, where)
    noise = np.random.default_rng(1).normal(size=(N, N))
    for name, weight in {"good": WEIGHT, "weak": 0.1 * WEIGHT + noise}.items():
        for split in ("test", "train"):
            dm = Datamodels(weight.astype("f4"), np.full(N, 3.0), np.zeros(N), {"output": f"{split}_margins"})
            save_fit(made, dm, f"{name}-{split}")
    return made


def test_weights_of_a_weak_fit_are_not_asked_for_leaks(study):
    weak, good = (leakage(load_fit(study, f"{name}-test"), study) for name in ("weak", "good"))
    assert (weak.tested, weak.unit.size, weak.scores) == (0, 0, ())
    assert "can be told by nothing; the fit is weak, so its weights were not asked" in weak.finding()
    assert (good.tested, good.scores, good.said) == (N, ("weights",), "")
    inputs = np.random.default_rng(2).normal(size=(2, N, 5))
    beside = leakage(load_fit(study, "weak-test"), study, inputs=tuple(inputs))
    assert (beside.scores, beside.tested, set(beside.by.tolist())) == (("inputs",), N, {"inputs"})


VERBS = [
    ["evaluate"],
    ["support"],
    ["counterfactual", "--targets", "0-3", "--sizes", "2"],
    ["neighbors", "-k", "2"],
    ["leakage"],
    ["clusters", "-k", "3"],
    ["embed"],
    ["select", "--keep", "10"],
    ["poison", "--size", "4"],
    ["mislabeled"],
]


def run(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["subtrain", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        main()
    said = capsys.readouterr()
    assert not stop.value.code, said.err
    return said.out


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_every_verb_of_a_fit_says_it_in_its_last_lines(study, monkeypatch, capsys, verb):
    split = "train" if verb[0] in ("poison", "mislabeled") else "test"
    first, *rest = verb
    for name, expected in (("weak", 1), ("good", 0)):
        command = (first, study.path, "--fit", f"{name}-{split}", *rest)
        said = run(monkeypatch, capsys, *command)
        assert said.count("weak fit: LDS") == expected
        assert said.count("collect more") == expected
        assert "subtrain budget" not in said, "a study of 64 models is too small for it"
        found = json.loads(run(monkeypatch, capsys, *command, "--json"))
        assert found.get("weak", "").startswith("weak fit: LDS") == bool(expected)
        assert "weak fit" not in found.get("summary", "")


def test_both_fits_of_a_comparison_are_judged(study, monkeypatch, capsys):
    command = ("compare", study.path, study.path, "--fit-a", "good-test", "--fit-b", "weak-test")
    assert run(monkeypatch, capsys, *command).count("weak fit: LDS") == 1


def test_results_say_it_in_python(study):
    weak, good = (Datamodels.load(study.path / "fits" / f"{name}-test") for name in ("weak", "good"))
    line = weak_fit(weak, study)
    assert line.startswith("weak fit: LDS 0.")
    assert repr(support(weak, study)).endswith("; " + line)
    assert "weak" not in repr(support(good, study))
    assert repr(evaluate(weak, study)).endswith("; " + line)
    assert evaluate(weak, study).to_json()["weak"] == line
    assert "weak" not in evaluate(good, study).to_json()


@pytest.mark.parametrize(
    ("lds", "ceiling", "weak"), [(0.3, 0.8, True), (0.4, 0.8, False), (0.05, np.nan, True), (0.2, np.nan, False)]
)
def test_half_the_ceiling_is_the_measure(lds, ceiling, weak):
    assert bool(weakness(lds, ceiling, "r")) == weak
    assert weakness(lds, ceiling, "r", 400).endswith("collect more (`subtrain budget r`)" if weak else "")
    assert weakness(lds, ceiling, "r", 399).endswith("collect more" if weak else "")
