"""A real Ray cluster: nodes lost, drivers killed, wrong tokens; the same bytes as the local engine, each row once."""

import json
import os
import secrets
import signal
import subprocess
from threading import Thread

import numpy as np
import pytest

import subtrain as st
import worlds
from processes import running, wait_until
from subtrain import Design, Study
from subtrain.errors import CollectError
from subtrain.studies.segments.segment_file import read_about

pytest.importorskip("ray", reason="Ray is not installed; tests/services/install-ray.sh does that")

from ray.cluster_utils import Cluster
from ray_cluster import HEAD, ROOT, WORKER, TwoNodes, named
from same import same_exports

pytestmark = [
    pytest.mark.services,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::subtrain.regression.fit_warnings.FitWarning"),
]
MODELS = 1000
# Seconds after which something that must happen never will, on however busy a machine.
LONG = 300
DIGITS = {"n": 60, "targets": 40, "epochs": 2}


def digits_study(path):
    return Study.create(path, "digits", Design(models=MODELS, heldout=50, seed=3), params=DIGITS, segment=8)


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """A digits study of a thousand and more models, trained and fitted by the local engine alone."""
    study = digits_study(tmp_path_factory.mktemp("local") / "study")
    study.collect(progress=False)
    return study, st.fit(study)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    with TwoNodes(tmp_path_factory.mktemp("nodes")) as there:
        yield there


@pytest.fixture
def worker_node(nodes):
    """The second node, there again if a test before removed it."""
    if WORKER not in nodes.nodes:
        nodes.start(WORKER, f"--address={nodes.address}")
        wait_until(lambda: "Ray runtime started" in (nodes.logs / f"{WORKER}.log").read_text(), LONG)


def committed(study):
    return len(list((study.path / "segments").glob("*.seg"))) if (study.path / "segments").exists() else 0


def same_as_local(study, local, tmp_path):
    """Every row once, byte for byte, in segments and exports, and nothing half-done left lying about."""
    names = sorted(os.listdir(study.path / "segments"))
    assert names == sorted(os.listdir(local.path / "segments"))
    for name in study.outputs:
        assert study.read(name).tobytes() == local.read(name).tobytes()
    same_exports(study, local, tmp_path)
    left = [p for p in study.path.rglob("*") if p.is_file() and (p.name.endswith(".tmp") or "partial" in p.parts)]
    assert left == []


def same_fit(dm, expected):
    for name in ("weight", "bias", "lam"):
        assert getattr(dm, name).tobytes() == getattr(expected, name).tobytes(), name


def workers(study):
    """The processes that committed its segments: both nodes are one host."""
    return {read_about(study.store, name)["pid"] for name in study.store.names("segments")}


def test_a_node_removed_hard_in_the_middle(nodes, worker_node, local, tmp_path):
    study = digits_study(tmp_path / "study")
    driver = nodes.subtrain("collect", study.path, "--engine", "ray", "--address", nodes.address)
    wait_until(lambda: committed(study) >= 20 and len(workers(study)) >= 2, LONG)
    nodes.kill_raylet(WORKER)
    there = committed(study)
    said = driver.communicate(timeout=LONG)
    assert driver.returncode == 0, said
    assert f"{study.models:,} of {study.models:,} models are done" in said[0]
    assert there < len(study.segments) - 20, "the node must have been lost in the middle"
    same_as_local(study, local[0], tmp_path)
    nodes.remove(WORKER)


def test_a_fit_on_the_cluster(nodes, worker_node, local, tmp_path):
    study, expected = local
    shares = ["--no-keep-counts", "--name", "there", "--engine", "ray", "--address", nodes.address]
    driver = nodes.subtrain("fit", study.path, *shares)
    said = driver.communicate(timeout=LONG)
    assert driver.returncode == 0, said
    same_fit(st.load_fit(study, "there"), expected)


def test_a_driver_killed_and_one_interrupted(nodes, worker_node, local, tmp_path):
    study = digits_study(tmp_path / "study")
    words = ("collect", study.path, "--engine", "ray", "--address", nodes.address)
    for k, how in enumerate((signal.SIGKILL, signal.SIGINT)):
        driver = nodes.subtrain(*words)
        wait_until(lambda k=k: committed(study) >= 20 * (k + 1), LONG)
        driver.send_signal(how)
        said = driver.communicate(timeout=LONG)
        assert driver.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL), said
        wait_until(
            lambda: not any(named(n.pid, "subtrain.collection.workers.worker") for n in nodes.nodes.values()), LONG
        )
        assert committed(study) < len(study.segments)
    driver = nodes.subtrain(*words)
    said = driver.communicate(timeout=LONG)
    assert driver.returncode == 0, said
    same_as_local(study, local[0], tmp_path)


def test_models_that_fail_read_as_they_do_locally(nodes, worker_node, tmp_path):
    control = tmp_path / "control"
    control.mkdir()
    codes, errors = [], []
    for engine in (("--engine", "local"), ("--engine", "ray", "--address", nodes.address)):
        task = f"{worlds.__file__}:unruly"
        params = {"control": str(control)}
        study = Study.create(tmp_path / engine[1], task, Design(models=40, heldout=0), params=params, segment=4)
        for model, order in {5: "raise", 17: "exit"}.items():
            (control / str(study.design.seeds([model])[0])).write_text(order)
        driver = nodes.subtrain("collect", study.path, *engine)
        errors.append(driver.communicate(timeout=LONG)[1].split("Error: ", 1)[1])
        codes.append(driver.returncode)
        now = json.loads(nodes.subtrain("status", study.path, "--json").communicate(timeout=LONG)[0])
        assert (now["done"], [one["model"] for one in now["failed"]]) == (38, [5, 17])
    assert codes == [CollectError.exit_code] * 2
    here, there = ([part.split("; see")[0] for part in text.split("model ")[1:]] for text in errors)
    assert sorted(here) == sorted(there)


def test_a_wrong_token_and_a_wrong_port_are_one_sentence(nodes, tmp_path):
    study = digits_study(tmp_path / "study")
    wrong = tmp_path / "wrong"
    wrong.touch(mode=0o600)
    wrong.write_text(secrets.token_hex(32))
    words = ("collect", study.path, "--engine", "ray", "--address")
    driver = nodes.subtrain(*words, nodes.address, env={"RAY_AUTH_TOKEN_PATH": str(wrong)})
    _, said = driver.communicate(timeout=LONG)
    assert driver.returncode == 2
    assert f"the Ray cluster at {nodes.address} cannot be joined" in said
    assert "Traceback" not in said
    driver = nodes.subtrain(*words, f"{HEAD}:1")
    assert f"no Ray cluster answers at {HEAD}:1" in driver.communicate(timeout=LONG)[1]
    assert driver.returncode == 2
    assert committed(study) == 0


def test_a_node_that_does_not_see_the_folder(nodes, worker_node, tmp_path):
    study = digits_study(tmp_path / "hidden" / "study")
    nodes.remove(WORKER)
    hide = f'mount -t tmpfs tmpfs {study.path.parent} && exec "$@"'
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("only root can give a node another view of the disk")
    nodes.start(WORKER, f"--address={nodes.address}", before=("unshare", "-m", "sh", "-c", hide, "sh"))
    wait_until(lambda: "Ray runtime started" in (nodes.logs / f"{WORKER}.log").read_text(), LONG)
    driver = nodes.subtrain("collect", study.path, "--engine", "ray", "--address", nodes.address)
    _, said = driver.communicate(timeout=LONG)
    nodes.remove(WORKER)
    assert driver.returncode == 6, said
    assert f"does not see the study at {study.path}" in said


def test_a_cluster_of_several_nodes_in_one_process_tree(local, tmp_path, monkeypatch):
    """`ray.cluster_utils.Cluster`: a node taken away without notice, and the fit."""
    import ray

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        second, _ = cluster.add_node(num_cpus=1), cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, log_to_driver=False)
        study = digits_study(tmp_path / "study")

        def meddle(study=study):
            wait_until(lambda: committed(study) >= 15, LONG)
            cluster.remove_node(second, allow_graceful=False)

        thread = Thread(target=meddle)
        thread.start()
        done = study.collect(engine="ray", progress=False)
        thread.join()
        assert done.done == study.models
        same_as_local(study, local[0], tmp_path)
        same_fit(st.fit(study, keep_counts=False, engine="ray"), local[1])
    finally:
        ray.shutdown()
        cluster.shutdown()


def test_a_laptop_starts_and_ends_its_own(local, tmp_path):
    study = digits_study(tmp_path / "study")
    before = set(named(os.getpid(), "raylet/raylet"))
    done = study.collect(engine="ray", workers=2, progress=False)
    assert (done.done, done.slots) == (study.models, "Ray on this machine, 1 CPU a task")
    import ray

    assert not ray.is_initialized()
    assert np.array_equal(study.read("test_margins"), local[0].read("test_margins"))
    assert set(named(os.getpid(), "raylet/raylet")) == before
    assert not [pid for pid in named(os.getpid(), "subtrain.collection.workers.worker") if running(pid)]
