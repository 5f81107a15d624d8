"""The inline engine: training in this process, in which exceptions and breakpoints are the user's own."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import subtrain as st
import worlds
from subtrain import Design, Study, collect, evaluate, retrain
from subtrain.collection.engines import ENGINES, engine_options
from subtrain.collection.engines.engine_protocol import in_process
from subtrain.errors import InputError


def in_memory(task=None, **plan) -> Study:
    return Study.create(":memory:", task or worlds.linear(noise=0.5), Design(**{"models": 60, "heldout": 10} | plan))


def test_models_are_trained_here_and_the_same_as_by_workers(unruly_study, expected, tmp_path):
    study = unruly_study()
    assert collect(study, engine="inline", progress=False).trained == study.models
    for name, array in expected(study).items():
        assert np.array_equal(study.read(name), array.astype(study.outputs[name].dtype))
    assert [path.name for path in (tmp_path / "control").glob("began.*")] == [f"began.{os.getpid()}"]


@pytest.mark.parametrize(
    ("order", "kind"), [("raise", ValueError), ("quit", SystemExit), ("nan", InputError), ("shape", InputError)]
)
def test_an_exception_arrives_as_it_is_and_names_model_and_seed(unruly_study, obedient, order, kind):
    study = unruly_study({5: order}, size=1)
    with pytest.raises(kind) as caught:
        collect(study, engine="inline", progress=False)
    seed = study.design.seeds([5])[0]
    assert caught.value.__notes__ == [f"raised while training model 5, seed {seed}, of {study.location}"]
    if order == "raise":
        assert caught.traceback[-1].name == "obey", "the frame that raised is there for a debugger"
    assert not study.store.names("failures")
    obedient()
    assert collect(study, engine="inline", progress=False).trained == study.models - 4, "the first segment was kept"


def test_of_models_trained_together_all_are_named(unruly_study):
    study = unruly_study({5: "raise"}, size=4)
    with pytest.raises(ValueError, match="told to fail") as caught:
        collect(study, engine="inline", progress=False)
    assert "raised while training models [4, 5, 6, 7], seeds [" in caught.value.__notes__[0]


def test_a_breakpoint_in_the_training_code_stops_there(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import subtrain as st\n"
        "def train(mask, seed):\n"
        "    size = int(mask.sum())\n"
        "    breakpoint()\n"
        "    return {'test_margins': [float(size)]}\n"
        "task = st.tasks.function(train, 6, {'test_margins': st.Output((1,), 'float32')})\n"
        "st.Study.create(':memory:', task, st.Design(models=2, heldout=0)).collect()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    said = subprocess.run(
        [sys.executable, "mine.py"],
        input="p 'size', size\nc\nq\n",
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "('size', 3)" in said.stdout
    assert "BdbQuit" in said.stderr


def test_a_study_in_memory_goes_all_the_way(monkeypatch, tmp_path):
    monkeypatch.setenv("SUBTRAIN_CACHE", str(tmp_path / "cache"))
    study = in_memory()
    other = in_memory()
    study.collect(progress=False)
    assert (study.models_done(), other.models_done()) == (study.models, 0)
    dm = study.fit("test_margins")
    assert evaluate(dm, study).lds.value > 0.5
    again = Study.open(study.store)
    assert again.fits == study.fits
    assert np.array_equal(again.read("test_margins"), study.read("test_margins"))
    found = retrain(study, np.ones((1, study.n), bool), runs=2, progress=False)
    assert found.outputs().shape == (1, 2, 3)
    assert study.extend(models=4).collect(progress=False).trained == 4
    assert study.status().done == study.models
    assert not (tmp_path / "cache").exists(), "it leaves nothing behind"


@pytest.mark.parametrize("engine", [name for name in ENGINES if not in_process(ENGINES[name])])
def test_other_engines_refuse_a_study_in_memory(engine):
    with pytest.raises(InputError, match=f"engine {engine} trains in other processes, which cannot see memory://"):
        in_memory().collect(engine=engine, progress=False)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_option_of_an_engine_has_a_help_and_a_type(engine):
    for option in engine_options(engine):
        assert option.help.endswith("."), option
        assert option.kind is not None


def test_the_note_of_an_exception_names_a_study_in_memory_as_its_user_did():
    def train(indices, seed):
        raise ValueError("told to fail")

    task = st.tasks.function(train, 6, {"sum": st.Output((1,), "float32")})
    study = st.Study.create(":memory:", task, st.Design(models=4, heldout=0))
    with pytest.raises(ValueError, match="told to fail") as raised:
        study.collect(progress=False)
    (note,) = raised.value.__notes__
    assert note.endswith("of :memory:")
