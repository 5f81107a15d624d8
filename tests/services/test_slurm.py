"""Collecting on a real Slurm cluster: nodes and jobs killed, submitters too, cancelled; nothing lost or changed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from processes import wait_until
from subtrain import Design, Study
from subtrain.collection.engines.slurm.submitted_jobs import open_batches
from subtrain.studies.segments import segment_file as segment

sys.path.insert(0, str(Path(__file__).parent))
import slurm_cluster
from same import same_exports
from slurm_cluster import Cluster

pytestmark = pytest.mark.services

# Seconds after which something that must happen never will, on however busy a machine.
LONG = 300

TASK = '''
import dataclasses, os, time
from pathlib import Path
import subtrain as st

def digits(control):
    """The quick digits; a file `slow` makes each model take that many seconds more, `fail` fails those seeds.

    While there is a file `hold` no training ends. `seen` says which attempts at which jobs began and ended one.
    """
    plain = st.tasks.digits(n=100, targets=20, epochs=1, outputs=["test_margins"])

    def say(what):
        job, attempt = (os.environ.get(f"SLURM_{name}", "0") for name in ("ARRAY_TASK_ID", "RESTART_COUNT"))
        with open(Path(control, "seen"), "a") as file:
            print(what, job, attempt, file=file)

    def train(masks, seeds):
        say("began")
        slow, fail = Path(control, "slow"), Path(control, "fail")
        if slow.exists():
            time.sleep(float(slow.read_text()) * len(seeds))
        if fail.exists() and fail.read_text() in map(str, seeds):
            raise ValueError("told to fail")
        while Path(control, "hold").exists():
            time.sleep(0.1)
        Path(control, "shards").write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "none"))
        say("ended")
        return plain.train(masks, seeds)

    return dataclasses.replace(plain, train_batch=train, source=None)
'''


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    if lacking := slurm_cluster.missing():
        pytest.skip(f"tests/services/install-slurm.sh has not been run: no {', '.join(lacking)}")
    home = Path(tempfile.mkdtemp(prefix="slurm-"))
    made = Cluster(home / "cluster")
    try:
        made.up()
        yield made
    finally:
        made.down()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def place(cluster, tmp_path, monkeypatch) -> Path:
    """A folder with a space in its name, where the task and the studies are."""
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "it's shared"
    (folder / "control").mkdir(parents=True)
    (folder / "mine.py").write_text(TASK)
    return folder


def make(place: Path, name: str, models: int, segment: int) -> Study:
    params = {"control": str(place / "control")}
    design = Design(models=models, heldout=0, seed=4, kind="fixed")
    return Study.create(place / name, f"{place}/mine.py:digits", design, params=params, segment=segment)


def start(study: Study, *options: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "subtrain", "collect", str(study.path), "--engine", "slurm", *options]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def workers(study: Study, node: str) -> list[int]:
    """Pids of the job scripts and workers on a node of the cluster."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            environ = Path(f"/proc/{entry}/environ").read_bytes()
            words = Path(f"/proc/{entry}/cmdline").read_bytes()
        except OSError:
            continue
        mine = b"slurm_script" in words or str(study.path).encode() in words
        if mine and f"SLURMD_NODENAME={node}\0".encode() in environ:
            found.append(int(entry))
    return found


def seen(place: Path) -> set[tuple[str, ...]]:
    """(began or ended, job, attempt) of every training so far."""
    file = place / "control" / "seen"
    return {tuple(line.split()) for line in file.read_text().splitlines()} if file.exists() else set()


def committed(study: Study) -> int:
    return len(study.rows.whole())


def test_two_thousand_models_through_every_mishap(cluster, place):
    study, local = make(place, "slurm", 2000, 25), make(place, "local", 2000, 25)
    local.collect(progress=False)
    (place / "control" / "slow").write_text("0.06")
    options = ("--gres", "shard:1", "--max-jobs", "8", "--per-job", "8")
    first = start(study, *options)
    wait_until(lambda: committed(study) >= 3 and len(workers(study, "n1")) > 0 and len(workers(study, "n2")) > 0, LONG)
    cluster.kill("n1")
    for pid in workers(study, "n2"):
        os.kill(pid, signal.SIGKILL)
    first.kill()
    first.communicate()
    here = committed(study)
    arrays = len(list((study.path / "slurm").iterdir()))

    second = start(study, *options)
    wait_until(lambda: committed(study) >= here + 8, LONG)
    assert second.poll() is None
    assert len(list((study.path / "slurm").iterdir())) <= arrays + 2, "running jobs are not submitted again"
    said = subprocess.run([sys.executable, "-m", "subtrain", "cancel", study.path], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert "Canceled" in said.stdout
    out, err = second.communicate(timeout=LONG)
    assert second.returncode == 5, err
    assert "were cancelled; what finished is kept" in err
    assert 0 < committed(study) < len(study.segments)

    (place / "control" / "slow").unlink()
    cluster.revive("n1")
    third = start(study, *options)
    out, err = third.communicate(timeout=LONG)
    assert third.returncode == 0, err
    assert "2,024 of 2,024 models are done" in out
    assert sorted(p.name for p in (study.path / "segments").iterdir()) == [
        segment.file_name(*where) for where in study.segments
    ]
    same_exports(study, local, place)
    assert (place / "control" / "shards").read_text() != "none", "a shard of a GPU was given to the jobs"


def test_a_lost_node_whose_job_is_requeued_while_the_orphan_goes_on(cluster, place):
    study, local = make(place, "slurm", 40, 10), make(place, "local", 40, 10)
    local.collect(progress=False)
    (place / "control" / "seen").unlink()
    hold = place / "control" / "hold"
    hold.touch()
    collect = start(study, "--per-job", "1")
    wait_until(lambda: {("began", str(k), "0") for k in range(4)} <= seen(place), LONG)
    [batch] = open_batches(study)
    lost = cluster.tell("squeue", "-h", "-r", "-w", "n1", f"--name={batch.name}", "-o", "%K").split()
    assert lost
    cluster.kill("n1")
    wait_until(lambda: all(cluster.restarts(f"{batch.number}_{k}") == 1 for k in lost), LONG)
    for k in lost:
        # Slurm waits two minutes before it starts a requeued job.
        cluster.tell("scontrol", "update", f"JobId={batch.number}_{k}", "StartTime=now")
    wait_until(lambda: {("began", k, "1") for k in lost} <= seen(place), LONG)
    assert workers(study, "n1"), "the orphans are still at work"
    assert not {("ended", k, "0") for k in lost} & seen(place)
    hold.unlink()
    out, err = collect.communicate(timeout=LONG)
    assert collect.returncode == 0, err
    assert "40 of 40 models are done" in out
    wait_until(lambda: {("ended", k, attempt) for k in lost for attempt in "01"} <= seen(place), LONG)
    wait_until(lambda: not workers(study, "n1"), LONG)
    cluster.revive("n1")
    same_exports(study, local, place)
    assert len(study.rows.whole()) == len(list((study.path / "segments").iterdir())) == 4


def test_models_that_fail_are_given_up_and_named_as_locally(cluster, place):
    study = make(place, "slurm", 40, 10)
    (place / "control" / "fail").write_text(str(study.design.seeds([13])[0]))
    collect = start(study)
    _, err = collect.communicate(timeout=LONG)
    assert collect.returncode == 5
    assert "1 of 40 models are missing after repeated failures" in err
    assert "model 13: ValueError: told to fail (" in err
    assert sorted(set(range(40)) - set(study.done().tolist())) == [13]


def test_detached_jobs_are_found_again(cluster, place):
    study = make(place, "slurm", 40, 10)
    (place / "control" / "slow").write_text("0.3")
    out, err = start(study, "--detach").communicate(timeout=LONG)
    assert "submitted Slurm array" in out, err
    shown = subprocess.run([sys.executable, "-m", "subtrain", "status", study.path], capture_output=True, text=True)
    assert "Slurm" in shown.stdout
    again = start(study)
    out, err = again.communicate(timeout=LONG)
    assert again.returncode == 0, err
    assert len(list((study.path / "slurm").iterdir())) == 1


def test_what_sbatch_refuses_is_said_in_one_sentence(cluster, place):
    study = make(place, "slurm", 40, 10)
    collect = start(study, "--partition", "nowhere")
    _, err = collect.communicate(timeout=LONG)
    assert collect.returncode == 2
    assert "sbatch failed" in err
    assert "invalid partition" in err
    assert err.count("Error:") == 1
