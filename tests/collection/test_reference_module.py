"""A module in the shape of the reference code's trains unmodified: numbered, with its own masks and arguments."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from subtrain import MeanDifference, Study, fit, import_reference
from subtrain.errors import InputError

MODULE = """
import argparse
import numpy as np

def main(*_, index, logdir):
    parser = argparse.ArgumentParser()
    for name, kind in (("--worker.index", int), ("--worker.logdir", str), ("--worker.main_import", str)):
        parser.add_argument(name, type=kind)
    parser.add_argument("--train.scale", type=float, default=1.0)
    args = vars(parser.parse_args())
    assert args["worker.index"] == index and args["worker.logdir"] == logdir
    rng = np.random.default_rng(index)
    if index == FAIL:
        raise ValueError("told to fail")
    mask = rng.random(10) < 0.5
    return {"train_masks": mask, "margins": (args["train.scale"] * mask[:3]).astype(np.float32)}
"""
SPEC = {
    "num_models": 40,
    "schema": {"train_masks": {"shape": [10], "dtype": "bool"}, "margins": {"shape": [3], "dtype": "float32"}},
}


@pytest.fixture
def collect(tmp_path):
    def run(*args, fail=-1, spec=SPEC):
        (tmp_path / "pack").mkdir(exist_ok=True)
        (tmp_path / "pack" / "minimal.py").write_text(MODULE.replace("FAIL", str(fail)))
        (tmp_path / "spec.json").write_text(json.dumps(spec))
        words = ["collect", "out", "--reference-module", "pack.minimal", "--spec", "spec.json", *args]
        return subprocess.run(
            [sys.executable, "-m", "subtrain", *words], cwd=tmp_path, capture_output=True, text=True, timeout=120
        )

    return run


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
    assert fit(so_far, "margins", MeanDifference()).weight.shape == (10, 3)
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
    words = [sys.executable, "-m", "subtrain", "collect", tmp_path, "--wrokers", "2"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 2
    assert "collect has no option --wrokers" in done.stderr
