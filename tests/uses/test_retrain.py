"""Retraining on listed masks: outputs known, seeds fresh, resumed, extended, refused."""

from __future__ import annotations

import json
from collections import defaultdict

import numpy as np
import pytest
from obstore.store import MemoryStore

import worlds
from subtrain import Design, Study
from subtrain.designs.listed import ListedDesign
from subtrain.errors import CorruptError, InputError, MismatchError
from subtrain.masks import pack
from subtrain.store.bucket import Bucket
from subtrain.studies.imports.arrays import import_arrays
from subtrain.tasks import batch
from subtrain.uses.retrain import retrain

MASKS = np.random.default_rng(3).random((7, 20)) < 0.6
WEIGHT, BIAS = worlds.weights(20, 3)
EXACT = MASKS @ WEIGHT + BIAS


def test_outputs_are_those_of_the_masks_in_the_order_given(make_study, trained_here):
    study = make_study(done=False)
    twice = np.concatenate([MASKS, MASKS[2:3]])
    found = retrain(study, twice, runs=2)
    assert trained_here == [14]
    assert found.runs == 2
    assert np.allclose(found.outputs("test_margins"), np.concatenate([EXACT, EXACT[2:3]])[:, None], atol=1e-5)
    assert np.allclose(found.outputs(targets=[2, 0])[:7, 1], EXACT[:, [2, 0]], atol=1e-5)
    own = found.of_targets([0, 1, 2, 0, 1, 2, 0, 1])
    assert np.allclose(own, found.outputs()[np.arange(8), :, [0, 1, 2, 0, 1, 2, 0, 1]])
    assert np.array_equal(found.outputs("train_margins")[:7, 0], MASKS)
    assert repr(found).startswith("Retrained(")
    assert "masks=8, runs=2" in repr(found)


def test_it_resumes_and_more_runs_are_added(make_study, trained_here):
    study = make_study(done=False, task=worlds.linear(noise=1.0))
    first = retrain(study, MASKS, runs=2)
    again = retrain(study, MASKS, runs=2)
    more = retrain(study, MASKS, runs=5)
    fewer = retrain(study, MASKS, runs=1)
    assert trained_here == [14, 0, 21, 0]
    assert first.study.location == more.study.location
    assert more.outputs().shape == (7, 5, 3)
    assert np.array_equal(more.outputs()[:, :2], again.outputs())
    assert np.array_equal(fewer.outputs(), again.outputs()[:, :1])
    noise = more.outputs()[:, :, 0] - EXACT[:, None, 0]
    assert np.unique(noise).size == noise.size  # every run of every mask has a seed of its own
    lost = sorted(first.study.path.glob("segments/*.seg"))[0]
    lost.unlink()
    healed = retrain(study, MASKS, runs=5)
    assert trained_here[-1] > 0
    assert np.array_equal(healed.outputs(), more.outputs())


def test_seeds_are_not_those_of_the_study_nor_of_another_list(make_study, trained_here):
    study = make_study(models=40)
    seeds = [retrain(study, some).study.design.seeds() for some in (MASKS, MASKS[:5])]
    assert not np.intersect1d(seeds[0], seeds[1]).size
    assert not np.intersect1d(np.concatenate(seeds), study.design.seeds()).size
    same = retrain(study, MASKS, seed=study.design.seed).study.design
    assert same.seeds()[0] == Design(models=40, n=20, seed=1).seeds([0])[0]


def test_workers_train_it_like_any_study(make_study):
    study = make_study(done=False, task=worlds.linear(noise=1.0))
    found = retrain(study, MASKS, runs=2, name="by-workers", progress=False, workers=1)
    assert found.study.path == study.path.resolve() / "retrained" / "by-workers"
    kept = json.loads((found.study.path / "study.json").read_text())["design"]
    assert kept["kind"] == "listed"
    assert kept["sha256"] == pack(MASKS).sha256()
    assert Study.open(found.study.path).models_done() == 14
    packed = np.load(found.study.path / kept["masks"], allow_pickle=False)
    assert np.array_equal(np.unpackbits(packed, axis=1, count=20, bitorder="little"), MASKS)


def test_of_a_study_in_a_bucket_it_lies_in_the_bucket(trained_here, monkeypatch):
    places = defaultdict(MemoryStore)
    monkeypatch.setattr(
        "subtrain.uses.retrain.open_store", lambda address: Bucket(places[address], address), raising=True
    )
    study = Study.create(Bucket(MemoryStore(), "s3://memory/parent"), worlds.linear(), Design(models=10), segment=4)
    found = retrain(study, MASKS, runs=2, name="mine")
    assert found.study.location == "s3://memory/parent/retrained/mine"
    assert np.allclose(found.outputs()[:, 0], EXACT, atol=1e-5)
    assert np.allclose(retrain(study, MASKS, runs=3, name="mine").outputs()[:, 2], EXACT, atol=1e-5)
    assert trained_here == [14, 7]


def test_groups_are_units(make_study, trained_here):
    groups = np.arange(20) % 5
    study = make_study(done=False, models=4, n=5, groups=groups)
    masks = np.eye(5, dtype=bool)
    found = retrain(study, ~masks)
    assert np.allclose(found.outputs()[:, 0], (~masks)[:, groups] @ WEIGHT + BIAS, atol=1e-5)


def test_an_imported_study_needs_a_task(tmp_path, trained_here):
    made = import_arrays(tmp_path / "imported", np.tile(MASKS, (3, 1)), {"test_margins": np.tile(EXACT, (3, 1))})
    with pytest.raises(InputError, match=r"was imported, so there is nothing to retrain with: give the task"):
        retrain(made, MASKS)
    found = retrain(made, MASKS, task=worlds.linear())
    assert np.allclose(found.outputs()[:, 0], EXACT, atol=1e-5)


def test_what_is_refused(make_study, trained_here):
    study = make_study(done=False)
    with pytest.raises(InputError, match="masks are over 19 units, the study over 20"):
        retrain(study, MASKS[:, :19])
    with pytest.raises(InputError, match="mask 1 is empty"):
        retrain(study, np.stack([MASKS[0], np.zeros(20, bool)]))
    with pytest.raises(InputError, match="at least one run"):
        retrain(study, MASKS, runs=0)
    with pytest.raises(InputError, match="cannot name a folder"):
        retrain(study, MASKS, name="../elsewhere")
    with pytest.raises(InputError, match="7 masks were retrained, but 1 targets"):
        retrain(study, MASKS).of_targets([0])
    with pytest.raises(InputError, match="numbered 0 to 2, got 3"):
        retrain(study, MASKS).outputs(targets=[3])
    found = retrain(study, MASKS, name="mine")
    with pytest.raises(MismatchError, match="other masks or seeds"):
        retrain(study, ~MASKS, name="mine")
    with pytest.raises(InputError, match="no more subsets to draw"):
        found.study.extend(models=3)
    plain = worlds.linear()
    other = batch(lambda masks, seeds: plain.train(masks, seeds), 20, plain.outputs)
    with pytest.raises(MismatchError, match="another task"):
        retrain(study, MASKS, name="mine", task=other)


@pytest.mark.parametrize("damage", ["gone", "flipped", "cut"])
def test_masks_that_are_not_those_listed_are_noticed(make_study, trained_here, damage):
    found = retrain(make_study(done=False), MASKS).study
    file = found.path / found.design.file
    whole = file.read_bytes()
    file.unlink()
    if damage != "gone":
        file.write_bytes(whole[:-8] if damage == "cut" else whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:])
    with pytest.raises(CorruptError, match=r"missing or damaged|sha256 differs"):
        Study.open(found.path)


def test_rows_of_a_listed_design():
    design = ListedDesign(pack(MASKS), 2, 5).extend(replicates=3)
    assert (design.n, design.rows, design.replicates) == (20, 35, 5)
    assert np.array_equal(design.subsets([0, 6, 7, 34]), [0, 6, 0, 6])
    assert np.array_equal(design.masks(range(7, 14)).unpack(), MASKS)
    assert [(b.first_row, b.last_row) for b in design.blocks] == [(0, 14), (14, 35)]
    assert design.role_rows("fit").size == 0
    assert design.role_rows("evaluation").size == 35
    assert np.array_equal(design.seeds()[:14], ListedDesign(pack(MASKS), 2, 5).seeds())
    assert np.allclose(design.alphas()[:7], MASKS.mean(axis=1))
