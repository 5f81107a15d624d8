"""A module in the shape of the reference code's trains unmodified: numbered, with its own masks and arguments."""

from __future__ import annotations

import json

import numpy as np
import pytest

from commands import run
from subtrain import LeastSquares, MeanDifference, Study, fit
from subtrain.errors import InputError
from subtrain.studies.imports.reference import import_reference

MODULE = """
import argparse
import numpy as np

def main(*_, index, logdir):
    parser = argparse.ArgumentParser()
    for name, kind in (("--worker.index", int), ("--worker.logdir", str), ("--worker.main_import", str)):
        parser.add_argument(name, type=kind)
    parser.add_argument("--train.scale", type=float, default=1.0)
    args = vars(parser.parse_args())
    assert args["worker.index"] == index and logdir == f"{args['worker.logdir']}/workers/{index}"
    open(f"{logdir}/mine", "w").close()
    rng = np.random.default_rng(index)
    if index == FAIL:
        raise ValueError("told to fail")
    mask = rng.random(10) < 0.5
    return {"train_masks": mask, "margins": (args["train.scale"] * mask[:3]).astype(np.float32)}
"""
# As both examples of the reference parse: strictly, through fastargs, in main; the worker's section is not theirs.
FASTARGS = """
from argparse import ArgumentParser
import numpy as np
from fastargs import Param, Section, get_current_config
from fastargs.decorators import param

Section("trainer", "settings").params(
    scale=Param(float, "factor", required=True), shift=Param(float, "to add", default=0.0)
)

def main(*_, index, logdir):
    config = get_current_config()
    parser = ArgumentParser()
    config.augment_argparse(parser)
    config.collect_argparse_args(parser)
    config.validate(mode="stderr")
    return run(index=index)

@param("trainer.scale")
@param("trainer.shift")
def run(index, scale, shift):
    open("trained", "a").write(f"{index}\\n")
    mask = np.random.default_rng(index).random(10) < 0.5
    return RETURNED
"""
RETURNED = '{"train_masks": mask, "margins": (scale * mask[:3] + shift).astype(np.float32)}'
SPEC = {
    "num_models": 40,
    "schema": {"train_masks": {"shape": [10], "dtype": "bool"}, "margins": {"shape": [3], "dtype": "float32"}},
}


@pytest.fixture
def collect(tmp_path):
    def reference(*args, fail=-1, spec=SPEC, module=MODULE, returned=RETURNED):
        (tmp_path / "pack").mkdir(exist_ok=True)
        module = module.replace("FAIL", str(fail)).replace("RETURNED", returned)
        (tmp_path / "pack" / "minimal.py").write_text(module)
        (tmp_path / "spec.json").write_text(json.dumps(spec))
        words = ["collect", "out", "--reference-module", "pack.minimal", "--spec", "spec.json", *args]
        return run(*words, cwd=tmp_path)

    return reference


def test_it_trains_every_model_and_its_masks_become_the_design(collect, tmp_path):
    done = collect("--train.scale", "2.5")
    assert done.returncode == 0, done.stderr
    assert "40 of 40 models are done" in done.stdout
    study = Study.open(tmp_path / "out")
    right = np.stack([np.random.default_rng(i).random(10) < 0.5 for i in range(40)])
    np.testing.assert_array_equal(study.masks().unpack(), right)
    np.testing.assert_array_equal(study.read("margins"), 2.5 * right[:, :3])
    again = collect("--train.scale", "2.5")
    assert again.returncode == 2
    assert "is a study already" in again.stderr
    np.testing.assert_array_equal(Study.open(tmp_path / "out").masks().unpack(), right)
    assert {p.parent.name for p in tmp_path.rglob("mine")} == {str(i) for i in range(40)}, "a folder a model"


def test_a_module_that_parses_strictly_through_fastargs(collect, tmp_path):
    (tmp_path / "set.json").write_text('{"trainer": {"shift": 0.5}}')
    done = collect("--trainer.scale=2", "--config-file", "set.json", module=FASTARGS)
    assert done.returncode == 0, done.stderr
    study = Study.open(tmp_path / "out")
    np.testing.assert_array_equal(study.read("margins"), 2 * study.masks().unpack()[:, :3] + 0.5)


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ((), "needs the argument --trainer.scale"),
        (("--trainer.scale=two",), "cannot take 'two' for --trainer.scale"),
        (("--trainer.scale=2", "--trainer.shfit=1"), "takes no argument --trainer.shfit; it takes --trainer.scale"),
        (
            ("--trainer.scale=2", "--worker.job_timeout=9"),
            "belongs to the reference's worker, which is not run; --timeout",
        ),
        (("--trainer.scale=2", "--config-file=gone.json"), "cannot read its configuration"),
    ],
)
def test_arguments_that_do_not_fit_are_said_before_training(collect, tmp_path, args, sentence):
    done = collect(*args, module=FASTARGS)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("returned", "sentence"),
    [
        ('{"train_masks": mask, "margins": np.zeros(4)}', "margins has shape [4], declared [3]"),
        ('{"train_masks": 2 * mask.astype("i1") - 1, "margins": np.zeros(3)}', "masks must be 1 where the model was"),
        ('{"train_masks": np.flatnonzero(mask), "margins": np.zeros(3)}', ", declared [10]"),
        ('{"margins": np.zeros(3)}', "returned outputs ['margins'], but the spec declares ['margins', 'train_masks']"),
        ("[mask]", "must return a dict of arrays, it returned list"),
        ('{"train_masks": mask, "margins": [[1], [2, 3]]}', "output margins is "),
        ("exit(2)", "ended the process (exit 2)"),
    ],
)
def test_a_wrong_return_value_stops_at_the_first_model_of_each_worker(collect, tmp_path, returned, sentence):
    done = collect("--trainer.scale=2", "--workers=2", module=FASTARGS, returned=returned)
    assert done.returncode != 0
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert len((tmp_path / "trained").read_text().split()) <= 2


def test_what_the_reference_takes_is_taken(collect, tmp_path):
    """A row of its file is assigned to: (1, N) and other kinds of numbers fit; keys may be any text."""
    spec = {
        "num_models": 40,
        "schema": {"train-masks": {"shape": [10], "dtype": "bool_"}, "loss": {"shape": [], "dtype": "float16"}},
    }
    returned = '{"train-masks": mask[None].astype(float), "loss": np.array([scale * mask[0]])}'
    done = collect("--trainer.scale=2", module=FASTARGS, returned=returned, spec=spec)
    assert done.returncode == 0, done.stderr
    study = Study.open(tmp_path / "out")
    assert list(study.outputs) == ["loss"]
    np.testing.assert_array_equal(study.read("loss")[:, 0], 2 * study.masks().unpack()[:, 0])


@pytest.mark.parametrize(
    ("schema", "args", "sentence"),
    [
        ({"random_numbers": {"shape": [256], "dtype": "uint8"}}, (), "declares no masks (random_numbers)"),
        ({"train_masks": {"shape": [10], "dtype": "bool"}}, (), "there are no outputs to learn from"),
        ({**SPEC["schema"], "val_mask": {"shape": [10], "dtype": "bool"}}, (), "(train_masks, val_mask): say which"),
        (SPEC["schema"], ("--masks", "who"), "the spec declares no array 'who'"),
        ({"masks": {"shape": [2, 5], "dtype": "bool"}, "margins": SPEC["schema"]["margins"]}, (), "one number a unit"),
    ],
)
def test_a_spec_without_masks_is_refused_before_anything_is_trained(collect, tmp_path, schema, args, sentence):
    done = collect("--trainer.scale=2", *args, module=FASTARGS, spec={"num_models": 40, "schema": schema})
    assert done.returncode == 2
    assert sentence in done.stderr
    assert not (tmp_path / "trained").exists()
    assert not (tmp_path / "out").exists()


def test_a_model_that_fails_stops_nothing_else_and_the_exit_code_says_so(collect, tmp_path):
    done = collect(fail=7)
    assert done.returncode == 5
    assert "model 7: ValueError: told to fail" in done.stderr
    assert Study.open(tmp_path / "out" / "trained").models_done() == 39
    assert not (tmp_path / "out" / "study.json").exists()

    with pytest.raises(InputError, match=r"subtrain import-reference .*out NEW makes a study"):
        fit(Study.open(tmp_path / "out" / "trained"), "margins", MeanDifference())
    so_far = import_reference(tmp_path / "out", tmp_path / "so-far", heldout=4)
    there = [i for i in range(40) if i != 7]
    right = np.stack([np.random.default_rng(i).random(10) < 0.5 for i in there])
    np.testing.assert_array_equal(so_far.masks().unpack(), right)
    np.testing.assert_array_equal(so_far.read("margins"), right[:, :3])
    with pytest.warns(UserWarning, match="1 of 40 models had not ended"):
        assert fit(so_far, "margins", LeastSquares()).weight.shape == (10, 3)
    with pytest.raises(InputError, match="is a study already"):
        import_reference(tmp_path / "out", tmp_path / "so-far")


def test_other_arguments_are_another_task(collect):
    assert collect(fail=7).returncode == 5
    done = collect("--train.scale=3", fail=7)
    assert done.returncode == 3
    assert "another task" in done.stderr


def test_a_spec_that_does_not_fit_is_said_at_once(collect):
    spec = {**SPEC, "schema": {**SPEC["schema"], "losses": {"shape": [3], "dtype": "float32"}}}
    done = collect(spec=spec)
    assert done.returncode == 5
    assert "but the spec declares ['losses', 'margins', 'train_masks']" in done.stderr


def test_a_module_that_is_not_there(collect):
    done = collect("--reference-module", "pack.nowhere")
    assert done.returncode == 2
    assert "cannot import main from 'pack.nowhere'" in done.stderr


def test_unknown_options_are_errors_without_such_a_module(tmp_path):
    done = run("collect", tmp_path, "--wrokers", "2")
    assert done.returncode == 2
    assert "collect has no option --wrokers" in done.stderr
