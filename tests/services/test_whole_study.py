"""A whole study of real digits in a bucket: two runners, one of them killed, and the same numbers as in a folder."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from test_buckets import cli

from subtrain import Study, load_fit
from subtrain.explorer.data.examples import view_of
from subtrain.fits import OF, digest_of
from subtrain.guesses import load_guess
from subtrain.store import atomic_files
from subtrain.store.seal import SEAL

PLAN = ("--task", "digits", "--models", 300, "--heldout", 20, "--replicates", 2, "--segment", 16)


def ok(*args: object) -> str:
    done = cli(*args)
    assert done.returncode == 0, done.stderr
    return done.stdout


def arrays(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*.npy*"))}


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> Path:
    """The same study in a folder, trained by one process, exported."""
    here = tmp_path_factory.mktemp("local")
    ok("create", here / "digits", *PLAN)
    ok("collect", here / "digits", "--workers", 1)
    ok("fit", here / "digits")
    ok("evaluate", here / "digits")
    ok("guess", here / "digits", "--models", 3)
    ok("export", here / "digits", here / "out")
    return here


def looked_at(study: object, page: Path) -> tuple[str, int, str]:
    """What neighbors says of two targets, and how many pictures a page holds, with one of them."""
    said = ok("neighbors", study, "--targets", "0,1", "--json")
    ok("explore", study, "--export", page, "--targets", 10)
    pictures = re.findall(r"data:image/png;base64,([\w+/=]+)", page.read_text())
    assert pictures
    return said, len(pictures), pictures[0]


def collecting(address: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "subtrain", "collect", address, "--workers", "1"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.timeout(900)
def test_two_runners_one_killed_and_resumed_give_the_local_arrays(bucket, local, tmp_path):
    address = f"s3://{bucket}/studies/digits"
    ok("create", address, *PLAN)
    assert "is a study already" in cli("create", address, *PLAN).stderr
    study = Study.open(address)
    runners = [collecting(address), collecting(address)]
    while study.models_done() < 64:
        assert all(runner.poll() is None for runner in runners), [r.communicate() for r in runners]
        time.sleep(0.05)
    runners[0].kill()
    runners[0].communicate()
    during = json.loads(ok("status", address, "--json"))
    assert 64 <= during["done"] <= study.models
    runners.append(collecting(address))
    for runner in runners[1:]:
        _, said = runner.communicate(timeout=200)
        assert runner.returncode == 0, said
    now = json.loads(ok("status", address, "--json", "--check"))
    assert (now["done"], now["failed"], now["bytes_to_come"]) == (study.models, [], 0)
    assert now["bytes_done"] > 340 * 800 * 2
    assert study.store.names("partial") == []

    ok("export", address, tmp_path / "out")
    mine, theirs = arrays(tmp_path / "out"), arrays(local / "out")
    assert mine.keys() == theirs.keys()
    assert len(mine) == 6
    assert all(mine[name] == theirs[name] for name in mine)

    assert f"{address}/fits/default" in ok("fit", address)
    ok("evaluate", address)
    ok("report", address)
    here, there = load_fit(Study.open(local / "digits")), load_fit(Study.open(address))
    for name in ("weight", "bias", "lam"):
        assert np.array_equal(getattr(here, name), getattr(there, name))
    found = json.loads(study.store.read("fits/default/evaluation.json"))
    expected = atomic_files.read_json(local / "digits/fits/default/evaluation.json")
    # Each names its own fit, which says when it was made.
    assert found.pop(OF) == digest_of(study, "default") != expected.pop(OF)
    assert found.pop(SEAL) != expected.pop(SEAL)
    assert found == expected
    assert b"<html" in study.store.read("report.html")[:200].lower()

    ok("guess", address, "--models", 3)
    tables = [load_guess(one, "default").tables() for one in (Study.open(address), Study.open(local / "digits"))]
    assert all(np.array_equal(mine, theirs) for mine, theirs in zip(*tables, strict=True))
    ok("fit", address, "--guess", "default", "--name", "guessed")
    ok("evaluate", address, "--fit", "guessed")
    assert looked_at(address, tmp_path / "there.html") == looked_at(local / "digits", tmp_path / "here.html")
    views = [view_of(one)[0] for one in (Study.open(address), Study.open(local / "digits"))]
    for split in ("train", "test"):
        assert np.array_equal(views[0].images[split], views[1].images[split])
        assert list(views[0].labels[split]) == list(views[1].labels[split])

    ok("extend", address, "--models", 20)
    assert json.loads(ok("status", address, "--json"))["missing"] == 20
    stranger = {"SUBTRAIN_STATE": str(tmp_path / "stranger")}
    refused = cli("worker", address, "--segments", "0:100", **stranger)
    assert refused.returncode == 2, refused.stderr
    assert "was not created by you" in refused.stderr
    assert "--trust" in refused.stderr
    assert cli("neighbors", address, **stranger).returncode == 0
    assert json.loads(ok("status", address, "--json"))["missing"] == 20
    ok("worker", address, "--segments", "0:100", "--workers", 1)
    ok("fit", address)
    assert load_fit(Study.open(address)).meta["models"] == 320 + study.design.validation


def test_failures_and_what_finished_beside_them(bucket, tmp_path):
    """A model that fails for good: its traceback, and the rest of its segment, lie in the bucket."""
    import worlds
    from subtrain import Design
    from subtrain.errors import CollectError

    params = {"control": str(tmp_path / "orders")}
    (tmp_path / "orders").mkdir()
    design = Design(models=10, heldout=3, seed=1)
    study = Study.create(f"s3://{bucket}/f", f"{worlds.__file__}:unruly", design, params=params, segment=4)
    for model, order in ((5, "raise"), (9, "kill")):
        (tmp_path / "orders" / str(study.design.seeds([model])[0])).write_text(order)
    with pytest.raises(
        CollectError,
        match=r"model 5: ValueError: told to fail \(worlds\.py, line \d+\); see s3://.*/f/failures/000005\.txt",
    ):
        study.collect(workers=2, progress=False)
    assert study.done().tolist() == [m for m in range(16) if m not in (5, 9)]
    assert sorted(f.model for f in study.status().failed) == [5, 9]
    assert "ValueError: told to fail" in study.store.read("failures/000005.txt").decode()
    assert study.store.names("segments")[1].endswith("000004-000007.gaps")
    assert np.isfinite(study.read("test_margins")).all()
    for order in (tmp_path / "orders").iterdir():
        order.unlink()
    assert study.collect(workers=1, progress=False).trained == 2
    assert study.status().failed == ()
