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
from subtrain.store import segment

sys.path.insert(0, str(Path(__file__).parent))
import slurm_cluster
from slurm_cluster import Cluster

pytestmark = [pytest.mark.services, pytest.mark.xdist_group("slurm")]

TASK = '''
import dataclasses, os, time
from pathlib import Path
import subtrain as st

def digits(control):
    """The quick digits; a file `slow` makes each model take that many seconds more, `fail` fails those seeds."""
    plain = st.tasks.digits(n=100, targets=20, epochs=1, outputs=["test_margins"])

    def train(masks, seeds):
        slow, fail = Path(control, "slow"), Path(control, "fail")
        if slow.exists():
            time.sleep(float(slow.read_text()) * len(seeds))
        if fail.exists() and fail.read_text() in map(str, seeds):
            raise ValueError("told to fail")
        Path(control, "shards").write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "none"))
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
    design = Design(models=models, heldout=0, seed=4)
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


def committed(study: Study) -> int:
    return len(study.rows.whole())


def test_two_thousand_models_through_every_mishap(cluster, place):
    study, local = make(place, "slurm", 2000, 25), make(place, "local", 2000, 25)
    local.collect(progress=False)
    (place / "control" / "slow").write_text("0.06")
    options = ("--gres", "shard:1", "--max-jobs", "8", "--per-job", "8")
    first = start(study, *options)
    wait_until(lambda: committed(study) >= 3 and len(workers(study, "n1")) > 0 and len(workers(study, "n2")) > 0, 60)
    cluster.kill("n1")
    for pid in workers(study, "n2"):
        os.kill(pid, signal.SIGKILL)
    first.kill()
    first.communicate()
    here = committed(study)
    arrays = len(list((study.path / "slurm").iterdir()))

    second = start(study, *options)
    wait_until(lambda: committed(study) >= here + 8, 60)
    assert second.poll() is None
    assert len(list((study.path / "slurm").iterdir())) <= arrays + 2, "running jobs are not submitted again"
    said = subprocess.run([sys.executable, "-m", "subtrain", "cancel", study.path], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert "Cancelled" in said.stdout
    out, err = second.communicate(timeout=60)
    assert second.returncode == 5, err
    assert "were cancelled; what finished is kept" in err
    assert 0 < committed(study) < len(study.segments)

    (place / "control" / "slow").unlink()
    cluster.revive("n1")
    third = start(study, *options)
    out, err = third.communicate(timeout=120)
    assert third.returncode == 0, err
    assert "2,000 of 2,000 models are done" in out
    assert sorted(p.name for p in (study.path / "segments").iterdir()) == [
        segment.file_name(*where) for where in study.segments
    ]
    assert study.read("test_margins").tobytes() == local.read("test_margins").tobytes()
    assert (place / "control" / "shards").read_text() != "none", "a shard of a GPU was given to the jobs"


def test_a_lost_node_whose_job_is_requeued_while_the_orphan_goes_on(cluster, place):
    study, local = make(place, "slurm", 60, 10), make(place, "local", 60, 10)
    local.collect(progress=False)
    (place / "control" / "slow").write_text("0.5")
    collect = start(study, "--max-jobs", "4")
    wait_until(lambda: "RUNNING" in cluster.tell("squeue", "-h", "-r", "-w", "n1", "-o", "%T"), 60)
    wait_until(lambda: bool(workers(study, "n1")), 30)
    cluster.kill("n1")
    out, err = collect.communicate(timeout=150)
    cluster.revive("n1")
    assert collect.returncode == 0, err
    assert "60 of 60 models are done" in out
    assert study.read("test_margins").tobytes() == local.read("test_margins").tobytes()


def test_models_that_fail_are_given_up_and_named_as_locally(cluster, place):
    study = make(place, "slurm", 40, 10)
    (place / "control" / "fail").write_text(str(study.design.seeds([13])[0]))
    collect = start(study)
    _, err = collect.communicate(timeout=120)
    assert collect.returncode == 5
    assert "1 of 40 models are missing after repeated failures" in err
    assert "model 13: ValueError: told to fail; see" in err
    assert sorted(set(range(40)) - set(study.done().tolist())) == [13]


def test_detached_jobs_are_found_again(cluster, place):
    study = make(place, "slurm", 40, 10)
    (place / "control" / "slow").write_text("0.3")
    out, err = start(study, "--detach").communicate(timeout=60)
    assert "submitted Slurm array" in out, err
    shown = subprocess.run([sys.executable, "-m", "subtrain", "status", study.path], capture_output=True, text=True)
    assert "Slurm" in shown.stdout
    again = start(study)
    out, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    assert len(list((study.path / "slurm").iterdir())) == 1


def test_what_sbatch_refuses_is_said_in_one_sentence(cluster, place):
    study = make(place, "slurm", 40, 10)
    collect = start(study, "--partition", "nowhere")
    _, err = collect.communicate(timeout=60)
    assert collect.returncode == 2
    assert "sbatch failed" in err
    assert "invalid partition" in err
    assert err.count("Error:") == 1
