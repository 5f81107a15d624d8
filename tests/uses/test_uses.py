"""The registry of questions: one order of arguments, one line of words each, and questions of other packages."""

from __future__ import annotations

import inspect
import json

import pytest

import subtrain as st
from commands import ok
from subtrain.cli.main import load
from subtrain.cli.shared.app import app
from subtrain.errors import InputError
from subtrain.fits import save_fit
from subtrain.uses import OURS, USES, use_of
from subtrain.uses.kit.result import Result

load()


# The questions that users of today find as st.NAME; a new one may be there too.
EXPORTED = {
    *("counterfactuals", "support", "brittleness", "neighbors", "leakage", "significance", "embedding", "clusters"),
    *("compare", "select", "debias_group", "poison", "mislabeled", "banzhaf", "shapley", "ame", "audit", "budget"),
    *("empirical_influence", "memorization", "compare_training_sets", "compare_alphas", "learning_curve"),
}


@pytest.mark.parametrize("name", OURS)
def test_a_question_takes_its_datamodels_and_study_first_and_is_public(name):
    use, function = OURS[name], USES[name]
    assert tuple(inspect.signature(function).parameters)[: len(use.needs)] == use.needs
    if name in EXPORTED or hasattr(st, name):
        assert getattr(st, name) is function
    assert use.words.endswith("?")
    assert f"`{name}`" not in use.words
    verbs = {command.name or command.callback.__name__.replace("_", "-") for command in app.registered_commands}
    assert use.verb in verbs


@pytest.mark.parametrize("name", OURS)
def test_the_docstring_of_a_question_has_every_part(name):
    function = USES[name]
    text = inspect.getdoc(function)
    for part in ("Args:", "Returns:", "Raises:", "Example:\n    >>> "):
        assert part in text, f"{name} has no {part}"
    about = text.partition("Args:")[2].partition("Returns:")[0]
    told = {line.strip("* ").partition(":")[0] for line in about.splitlines() if line.startswith("    ")}
    assert set(inspect.signature(function).parameters) <= told


def test_every_result_is_one_record(make_study):
    for name in OURS:
        module = inspect.getmodule(inspect.unwrap(USES[name]))
        found = getattr(module, str(inspect.signature(USES[name]).return_annotation))
        assert issubclass(found, Result)
        for part in ("finding", "table", "figure"):
            assert getattr(found, part) is not getattr(Result, part), f"{found.__name__} has no {part}"


def test_what_makes_no_claim_cannot_be_verified(make_study):
    found = st.audit(make_study(replicates=2, heldout=8), pairs=0)
    with pytest.raises(InputError, match="Audit makes no claim that retraining could check"):
        found.verify()


TOY = """
from dataclasses import dataclass
import numpy as np
from subtrain.uses.kit.question import question
from subtrain.uses.kit.result import Result, new_figure

@dataclass(frozen=True, eq=False, repr=False)
class Strongest(Result):
    unit: np.ndarray
    times: int

    def finding(self):
        return f"{self.unit.size} targets, {self.times} times"

    def table(self):
        return {"target": np.arange(self.unit.size), "unit": self.unit}

    def figure(self):
        return new_figure()

    def verify(self, runs=10, **options):
        return self.followed_by(Strongest(self.unit, runs))

@question
def strongest(dm, study, times=1, targets=None):
    \"\"\"Which unit has the largest weight?\"\"\"
    weight = dm.weight if targets is None else dm.weight[:, targets]
    return Strongest(weight.argmax(axis=0), times)
"""


def test_a_question_of_another_package(other_package, make_study, tmp_path):
    other_package(USES, "strongest = toys:strongest", TOY)
    study = make_study(models=60)
    dm = study.fit(estimator=st.MeanDifference())
    save_fit(study, dm)
    found = USES["strongest"](dm, study)
    assert (found.dm, found.study) == (dm, study)
    assert repr(found).startswith("Strongest(")
    assert found.to_json()["unit"] == dm.weight.argmax(axis=0).tolist()
    use = use_of("strongest")
    assert (use.needs, use.words, use.verb) == (("dm", "study"), "Which unit has the largest weight?", "ask")
    listed = ok("ask", cwd=tmp_path)
    assert all(name in listed for name in USES)
    asked = ("ask", "strongest", study.path, "--targets", "0,1")
    told = json.loads(ok(*asked, "-o", "times=3", "--json", cwd=tmp_path))
    assert told["summary"] == "Strongest(2 targets, 3 times)"
    assert told["table"]["unit"] == dm.weight[:, :2].argmax(axis=0).tolist()
    assert "4 times" in ok(*asked, "--verify", "--runs", 4, cwd=tmp_path)


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["suport"], r"unknown question 'suport' \(did you mean 'support'\?\)"),
        (["support"], "give the study: subtrain ask support STUDY"),
        (["neighbors", "{study}", "-o", "kk=3"], "neighbors has no keyword kk; it takes dm, study"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(make_study, args, sentence):
    from typer.testing import CliRunner

    study = make_study(models=40)
    save_fit(study, study.fit(estimator=st.MeanDifference()))
    found = CliRunner().invoke(app, ["ask", *(arg.format(study=study.path) for arg in args)])
    with pytest.raises(InputError, match=sentence):
        raise found.exception
