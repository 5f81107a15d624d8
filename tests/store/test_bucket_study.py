"""A study in a bucket, here of obstore's store in memory: the same numbers as in a folder, fetched a few at a time."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest
from obstore.store import MemoryStore

import worlds
from subtrain import Design, MeanDifference, Study, evaluate, fit, load_fit
from subtrain.collection import train_segment
from subtrain.collection.status import check
from subtrain.collection.tally import Tally, known_worker_bytes, runner_file
from subtrain.errors import CorruptError, InputError, StorageError
from subtrain.explorer.open_studies import Library
from subtrain.explorer.single_file import page_bytes
from subtrain.fits import save_fit
from subtrain.regression import Lasso, LassoLarge
from subtrain.regression.counting.study_counts import COUNTS
from subtrain.store.bucket import Bucket
from subtrain.store.bucket_errors import reason
from subtrain.studies.export import export
from subtrain.studies.segments import remote_safetensors, segment_file
from subtrain.studies.stored_study import segment_name
from subtrain.uses.learning_curve import learning_curve


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SUBTRAIN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def twins(make_study, cache) -> tuple[Study, Study]:
    """The same study in a folder and in a bucket, both trained."""
    task = worlds.linear(noise=0.5)
    local = make_study(task=task, models=150, heldout=6)
    bucket = Study.create(
        Bucket(MemoryStore(), "s3://memory/twin"), task, Design(models=150, heldout=6, seed=1), segment=4
    )
    for where in bucket.segments:
        train_segment(bucket, where)
    return local, bucket


def test_everything_works_as_in_a_folder(twins, tmp_path, cache):
    local, bucket = twins
    assert local.identity == bucket.identity
    assert (bucket.models_done(), bucket.name, bucket.location) == (177, "twin", "s3://memory/twin")
    for name in local.outputs:
        assert bucket.read(name).tobytes() == local.read(name).tobytes()
    assert check(bucket) == []
    fits = [fit(study, estimator=MeanDifference()) for study in twins]
    assert np.array_equal(fits[0].weight, fits[1].weight)
    assert save_fit(bucket, fits[1], "mine") == "s3://memory/twin/fits/mine"
    assert bucket.fits == bucket.status().fits == ("mine",)
    back = load_fit(bucket, "mine")
    assert np.array_equal(back.weight, fits[0].weight)
    found = [evaluate(dm, study) for dm, study in zip(fits, twins, strict=True)]
    assert found[0].to_json() == found[1].to_json()
    for study in twins:
        export(study, tmp_path / "out" / study.name, "x")
    files = sorted((tmp_path / "out" / "twin" / "x" / "data").iterdir())
    assert len(files) == 7
    for path in files:
        assert path.read_bytes() == (tmp_path / "out" / "study" / "x" / "data" / path.name).read_bytes()
    assert [path.name for path in cache.iterdir()] == [bucket.local.name], "counts are kept here"
    assert b"twin" in page_bytes(Library({"": bucket}, "mine"))[0]
    assert bucket.extend(models=2).models == 179
    assert Study.open(bucket.store).models_done() == 177


ESTIMATORS = {"lasso": lambda: Lasso(lambdas=5), "lasso-large": lambda: LassoLarge(lambdas=5, eps=1e-3)}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_interrupted_fit_goes_on_from_the_local_cache(twins, cache, name):
    """What the LASSO keeps, counts and finished targets, lies on this machine: not in the bucket."""
    local, bucket = twins
    before, seen = bucket.store.names(), []

    def breaks_off(stage, done, total):
        seen.extend(path for path in (bucket.local / COUNTS).rglob("*") if path.is_file())
        if stage in ("join counts", "refit"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(bucket, estimator=ESTIMATORS[name](), progress=breaks_off)
    assert seen
    assert all(path.is_relative_to(cache) for path in seen)
    assert bucket.store.names() == before
    assert np.array_equal(
        fit(bucket, estimator=ESTIMATORS[name]()).weight, fit(local, estimator=ESTIMATORS[name]()).weight
    )


def test_a_learning_curve_and_the_memory_of_workers(twins):
    local, bucket = twins
    assert learning_curve(bucket, sizes=[100, 150]).to_json() == learning_curve(local, sizes=[100, 150]).to_json()
    with pytest.raises(InputError, match="s3://memory/new has too few models for a learning curve"):
        learning_curve(Study.create(Bucket(MemoryStore(), "s3://memory/new"), worlds.linear(), Design(models=60)))
    assert known_worker_bytes(bucket.store) is None
    tally = Tally(bucket.store, runner_file(), 10, 0, 2)
    tally.add(3, 500)
    tally.write()
    assert known_worker_bytes(bucket.store) == 500


def test_segments_are_fetched_a_few_at_a_time(twins, monkeypatch):
    _, bucket = twins
    at_once, most, lock, read = itertools.count(), 0, threading.Lock(), segment_file.read_segment
    now = 0

    def watched(*args):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        try:
            return read(*args)
        finally:
            with lock:
                now -= 1
                next(at_once)

    monkeypatch.setattr(segment_file, "read_segment", watched)
    fit(bucket, estimator=MeanDifference(), keep_counts=False)
    assert next(at_once) == 42, "those of the models to fit on and of the anchors, each once"
    assert 1 <= most <= 16


@pytest.mark.parametrize("first", [1 << 20, 8, 300])
def test_only_the_array_asked_for_is_fetched(twins, monkeypatch, first):
    monkeypatch.setattr(remote_safetensors, "_FIRST", first)
    local, bucket = twins
    assert bucket.read("test_margins").tobytes() == local.read("test_margins").tobytes()
    asked = []
    part = Bucket.read_range
    monkeypatch.setattr(Bucket, "read_range", lambda self, name, a, b: asked.append((a, b)) or part(self, name, a, b))
    monkeypatch.setattr(Bucket, "read", None)
    bucket.read("test_margins", [0])
    assert len(asked) == {1 << 20: 1, 8: 3, 300: 3}[first]


def test_damage_in_a_bucket_is_named(twins):
    local, bucket = twins
    name = segment_name((4, 8))
    whole = bucket.store.read(name)
    for size in [*range(0, len(whole), 37), len(whole) - 1]:
        bucket.store.replace(name, lambda file, size=size: file.write(whole[:size]))
        with pytest.raises(CorruptError, match=r"segment s3://memory/twin/segments/000004-000007\.seg is damaged"):
            segment_file.read_segment(bucket.store, name, bucket.outputs, list(bucket.outputs), bucket.identity)
    found = []
    for at in range(0, len(whole), 41):
        raw = bytearray(whole)
        raw[at] ^= 0x55
        bucket.store.replace(name, lambda file, raw=raw: file.write(raw))
        try:
            assert bucket.read("test_margins").tobytes() == local.read("test_margins").tobytes()
        except CorruptError as error:
            found.append(str(error))
    assert len(found) > 10
    assert all(name in said for said in found)
    bucket.store.delete(name)
    with pytest.raises(InputError, match=r"a segment has been deleted .*; run collect to train its models again"):
        bucket.read("test_margins", [5])
    with pytest.raises(InputError, match="have no outputs yet"):
        bucket.read("test_margins", [5])
    assert train_segment(bucket, (4, 8))
    assert bucket.read("test_margins").tobytes() == local.read("test_margins").tobytes()


def test_what_needs_a_folder_says_so(twins):
    _, bucket = twins
    with pytest.raises(InputError, match="s3://memory/twin does not lie in a folder, and this needs one"):
        _ = bucket.path


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("… status code: 403 Forbidden: <Code>SignatureDoesNotMatch</Code>", "the credentials are wrong"),
        ("… 400 Bad Request: <Code>ExpiredToken</Code>", "have expired"),
        ("… <Code>AccessDenied</Code>", "not allowed"),
        ("… <Code>RequestTimeTooSkewed</Code>", "clock is wrong"),
        ("… status code: 503 Service Unavailable: \n\nDebug", r"\(503 Service Unavailable\)"),
        ("… HTTP error: error sending request\n\nDebug", r"\(error sending request\)"),
        ("something else\nin two lines", r"\(something else\)"),
    ],
)
def test_reasons(said, words):
    assert "\n" not in reason(StorageError(said))
    with pytest.raises(StorageError, match=words):
        raise StorageError(reason(StorageError(said)))
