"""`subtrain worker` and what collect says of engines: from the command line, exit codes checked."""

from __future__ import annotations

import subprocess

import pytest

from commands import run
from subtrain import Study
from subtrain.collection import collect
from subtrain.collection.engines.slurm.engine import preview
from subtrain.collection.engines.slurm.submitted_jobs import parse_segments
from subtrain.errors import CollectError, InputError


@pytest.fixture
def iris(tmp_path):
    made = run(
        "create",
        tmp_path / "iris",
        "-t",
        "tabular",
        "-p",
        "data=iris",
        "--models",
        20,
        "--heldout",
        2,
        "--validation",
        0,
        "--segment",
        4,
    )
    assert made.returncode == 0, made.stderr
    return Study.open(tmp_path / "iris")


def test_a_worker_trains_its_segments_and_no_others(iris):
    assert len(iris.segments) == 6
    done = run("worker", iris.path, "--segments", "1:3,5")
    assert done.returncode == 0, done.stderr
    assert "12 of the 12 models in these segments are done (12 trained now)" in done.stdout
    assert iris.rows.whole() == {iris.segments[k] for k in (1, 2, 5)}
    again = run("worker", iris.path, "--segments", "2:100")
    assert "(8 trained now)" in again.stdout, again.stderr
    assert run("worker", iris.path, "--segments", "0:6").returncode == 0
    assert iris.models_done() == 24


@pytest.mark.parametrize("segments", ["", "a", "3:1", "2:", "-1", "1,,2"])
def test_segments_that_make_no_sense(segments, iris):
    done = run("worker", iris.path, f"--segments={segments}")
    assert done.returncode == 2
    assert "segments are written A:B" in done.stderr


def test_a_segment_that_is_not_there(iris):
    done = run("worker", iris.path, "--segments", "6:9")
    assert done.returncode == 2
    assert "has 6 segments, numbered 0 to 5" in done.stderr


def test_a_model_that_fails_costs_its_worker_nothing_else(unruly_study):
    study = unruly_study({5: "raise"})
    with pytest.raises(CollectError, match=r"1 of 8 models are missing.* model 5"):
        collect(study, 1, progress=False, segments=[0, 1])
    assert study.done().tolist() == [0, 1, 2, 3, 4, 6, 7]


def test_segment_lists():
    assert parse_segments("0:3,7, 9:10") == (0, 1, 2, 7, 9)


def test_engines_and_options_that_do_not_exist(iris):
    with pytest.raises(InputError, match="choose from local, inline, slurm, ray"):
        iris.collect(engine="pbs", progress=False)
    with pytest.raises(InputError, match="engine local has no option partition"):
        iris.collect(partition="gpu", progress=False)
    assert run("collect", iris.path, "--gres", "gpu:1").returncode == 2


def test_the_script_is_printed_and_nothing_is_written(iris):
    before = sorted(iris.path.rglob("*"))
    said = run(
        "collect", iris.path, "--engine", "slurm", "--dry-run", "--gres", "shard:1", "--max-jobs", 2, "--cpus", 2
    )
    assert said.returncode == 0, said.stderr
    assert subprocess.run(["bash", "-n"], input=said.stdout, text=True).returncode == 0
    for line in ("--array=0-1", "--gres=shard:1", "--cpus-per-task=2", "--requeue"):
        assert f"#SBATCH {line}\n" in said.stdout
    assert sorted(iris.path.rglob("*")) == before


def test_a_task_without_a_name_cannot_go_to_slurm(make_study):
    study = make_study(done=False)
    with pytest.raises(InputError, match="study files are data, never code"):
        preview(study, study.segments)


def test_lines_that_would_break_out_of_the_script(iris):
    with pytest.raises(InputError, match="must be a single one"):
        preview(iris, iris.segments, partition="a\nrm -rf /")
