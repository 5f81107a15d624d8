"""A registered part that is broken says so in one sentence where it is used, and nowhere else."""

from __future__ import annotations

import pytest

import subtrain as st
import subtrain.uses
from commands import ok, run
from subtrain.cli.shared import question_options
from subtrain.collection.engines import ENGINES, engine_options
from subtrain.designs import DESIGNS
from subtrain.errors import InputError
from subtrain.fits import save_fit
from subtrain.quantities import QUANTITIES
from subtrain.regression.estimators import ESTIMATORS
from subtrain.system.registry import Registry
from subtrain.tasks import TASKS
from subtrain.uses import USES, use_of


@pytest.mark.parametrize("registry", [DESIGNS, ENGINES, ESTIMATORS, QUANTITIES, TASKS, USES], ids=lambda r: r.kind)
def test_the_help_and_other_verbs_do_not_suffer(registry, other_package, make_study, tmp_path):
    other_package(registry, "broken = breaks:Part", "1 / 0")
    study = make_study(models=40)
    save_fit(study, study.fit(estimator=st.MeanDifference()))
    for words in (["--help"], ["collect", "--help"], ["fit", "--help"], ["support", study.path, "--targets", "0"]):
        ok(*words, cwd=tmp_path)
    listed = ok("ask", cwd=tmp_path)
    assert "support" in listed
    if registry is not TASKS:
        with pytest.raises(
            InputError, match=f"the {registry.kind} 'broken' of another package cannot be loaded from breaks:Part: Zero"
        ):
            _ = registry["broken"]


@pytest.mark.parametrize(
    ("registry", "words"),
    [
        (ENGINES, ["collect", "{study}", "--engine", "broken"]),
        (ESTIMATORS, ["fit", "{study}", "--estimator", "broken"]),
        (USES, ["ask", "broken", "{study}"]),
        (TASKS, ["check", "broken"]),
    ],
    ids=lambda each: getattr(each, "kind", ""),
)
def test_using_it_is_one_sentence(registry, words, other_package, make_study, tmp_path):
    other_package(registry, "broken = breaks:Part", "1 / 0")
    study = make_study(done=False, models=40)
    done = run(*(word.format(study=study.path) for word in words), cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert "ZeroDivisionError" in done.stderr
    assert "broken" in done.stderr
    assert "breaks" in done.stderr


def test_a_part_of_ours_that_cannot_be_loaded_is_one_sentence_too():
    parts = Registry("toy", "subtrain.toys", {"gone": "math:thing", "bare": "math"})
    with pytest.raises(InputError, match="the toy 'gone' cannot be loaded from math:thing: module 'math' has no attr"):
        _ = parts["gone"]
    with pytest.raises(InputError, match="the toy 'bare' cannot be loaded from math: a place is written module:attr"):
        _ = parts["bare"]


def test_a_quantity_whose_place_is_its_function():
    QUANTITIES.add("sums", "subtrain.quantities:margins")
    try:
        with pytest.raises(InputError, match=r"the quantity 'sums' .* must be a Quantity, not function"):
            _ = QUANTITIES["sums"]
    finally:
        QUANTITIES.forget()


def test_a_row_of_a_question_of_another_form_spoils_no_other():
    for row in (("module", "ask", ("study",)), "module", ("module", "ask", "study", "What?")):
        assert subtrain.uses._use("question", row) is None
    USES.add("question", "a row that is not (module, verb, needs, words) but ('module',)")
    try:
        with pytest.raises(InputError, match=r"the question 'question'.* cannot be loaded from a row that is not"):
            use_of("question")
    finally:
        USES.forget()


def test_a_verb_of_a_question_that_is_not_there_says_so_when_it_is_used():
    USES.add("gone", "subtrain.uses.nowhere:gone")
    USES.add("half", "subtrain.uses.support:half")
    try:
        for name in ("gone", "half"):
            with pytest.raises(InputError, match=f"the question '{name}' cannot be read from subtrain.uses"):
                question_options.question_options(name, ["k"])
        with pytest.raises(InputError, match="question support has no keyword kk"):
            question_options.question_options("support", ["kk"])
    finally:
        USES.forget()


ENGINE = '''
class Toy:
    """Does nothing.

    Args:
        pause: Seconds.
    """

    in_process = True

    def __init__(self, study, segments, tally, *, pause{kind} = 1):
        pass

    def run(self, tick):
        tick()
'''


def test_an_engine_whose_run_returns_nothing(other_package, make_study):
    other_package(ENGINES, "silent = silent_engine:Toy", ENGINE.format(kind=": int"))
    with pytest.raises(InputError, match=r"run\(\) of engine silent must return a list of the segments .*, not None"):
        make_study(done=False).collect(engine="silent", progress=False)


def test_an_option_of_an_engine_without_a_type(other_package, make_study, tmp_path):
    other_package(ENGINES, "untyped = untyped_engine:Toy", ENGINE.format(kind=""))
    with pytest.raises(
        InputError, match="option pause of engine untyped, untyped_engine:Toy, has no type: annotate it"
    ):
        engine_options("untyped")
    ok("collect", "--help", cwd=tmp_path)
    done = run("collect", make_study(done=False).path, "--engine", "untyped", cwd=tmp_path)
    assert done.returncode == 2
    assert "annotate it" in done.stderr


QUESTION = """
from dataclasses import dataclass
import numpy as np
from subtrain.uses.kit.question import question
from subtrain.uses.kit.result import Result

@dataclass(frozen=True, eq=False, repr=False)
class Bare(Result):
    def finding(self):
        return "nothing"

    def table(self):
        return {"unit": np.arange(3)}

@question
def bare(study, k: int = 3):
    '''Which units are there?

    Args:
        study: Of which.
        k: Number of units.
    '''
    return Bare()
"""


def test_a_question_without_a_verb_and_a_picture(other_package, make_study, tmp_path):
    other_package(USES, "bare = bare_question:bare", QUESTION)
    study = make_study(models=40)
    done = run("bare", study.path, cwd=tmp_path)
    assert done.returncode == 2
    assert "bare is a question without a verb of its own: subtrain ask bare STUDY" in done.stderr
    done = run("ask", "bare", cwd=tmp_path)
    assert done.returncode == 2
    assert "give the study: subtrain ask bare STUDY" in done.stderr
    assert "Which units are there?" in done.stdout
    assert "Number of units." in done.stdout
    done = run("ask", "bare", study.path, "--out", "a.png", cwd=tmp_path)
    assert done.returncode == 2
    assert "Bare, the answer to a question, has no figure: give its class figure()" in done.stderr
