"""Fitting from a bucket: the numbers of a fit from memory, every byte read once, evaluation models unseen."""

import numpy as np
import pytest

import subtrain as st
from mirror import HELDOUT, MODELS, TARGETS, UNITS, key_of, npy
from subtrain import public
from subtrain.errors import CorruptError, InputError
from subtrain.regression import count
from subtrain.regression.counting.shards import whole_masks


@pytest.fixture
def fitted(mirror):
    """The same models fitted from memory."""
    masks, y = (mirror.arrays[kind][:-HELDOUT] for kind in ("train_masks", "test_margins"))
    return st.Lasso(lambdas=20).fit(masks, y)


def once(mirror, kinds=("train_masks", "test_margins")) -> None:
    """Every byte of the fitting models' rows was asked for once, and no other."""
    for kind in kinds:
        row = mirror.arrays[kind][0].nbytes
        seen = np.zeros(128 + MODELS * row, int)
        for key, start, stop in mirror.source.asked:
            if key == key_of(kind):
                seen[start:stop] += 1
        assert (seen[128 : 128 + (MODELS - HELDOUT) * row] == 1).all()
        assert seen.sum() == (MODELS - HELDOUT) * row


def test_one_pass_over_the_bucket_gives_the_fit_from_memory(published, mirror, fitted):
    models = published(cache_bytes=0)
    dm = public.fit(models, estimator=st.Lasso(lambdas=20))
    assert np.allclose(dm.weight, fitted.weight_, atol=1e-6)
    assert np.allclose(dm.bias, fitted.bias_, atol=1e-6)
    assert np.array_equal(dm.lam, fitted.lam_)
    once(mirror)
    assert dm.meta["parts"] == {"fit": 180, "validation": 20}
    assert dm.meta["alpha"] == 0.5
    assert dm.meta["dollars"] == pytest.approx(models.spent, abs=1e-6)
    assert 0 < models.spent < 1e-4


def test_blocks_targets_and_models(published, mirror, monkeypatch):
    monkeypatch.setattr("subtrain.public.fitting._BLOCK", 300)
    dm = public.fit(published(), targets=slice(1, 4), models=slice(0, 150), estimator=st.Ridge(lambdas=[0.1]))
    masks, y = (mirror.arrays[kind][:150] for kind in ("train_masks", "test_margins"))
    wanted = st.Ridge(lambdas=[0.1]).fit(masks, y[:, 1:4])
    assert np.allclose(dm.weight, wanted.weight_, atol=1e-6)
    assert dm.meta["targets"] == [1, 4, 1]
    assert dm.meta["models_used"] == [[0, 150]]
    other = public.fit(published().evaluation, estimator=st.MeanDifference())
    assert other.weight.shape == (UNITS, TARGETS)
    assert other.meta["models"] == MODELS - HELDOUT, "never on those for evaluation, whoever asks"


def test_lasso_itself_takes_remote_arrays(published, mirror, fitted, monkeypatch):
    monkeypatch.setattr("subtrain.regression.counting.shards.UNPACKED", 10 * UNITS)
    models = published(cache_bytes=0).fitting
    found = st.Lasso(lambdas=20).fit(models.train_masks, models.test_margins)
    assert np.array_equal(found.weight_, fitted.weight_)
    once(mirror)
    assert np.array_equal(found.predict(models.train_masks.part(slice(9))), fitted.predict(models.train_masks[:9]))


def test_counting_takes_remote_arrays_alone_and_in_lists(published, mirror):
    models = published(cache_bytes=0).fitting
    masks, y = (mirror.arrays[kind][:-HELDOUT] for kind in ("train_masks", "test_margins"))
    wanted = count(masks, y)
    found = count(models.train_masks, models.test_margins)
    once(mirror)
    assert np.array_equal(found.gram, wanted.gram)
    assert np.array_equal(found.xty, wanted.xty)
    halves = [(models.train_masks.part(part), models.test_margins.part(part)) for part in (slice(90), slice(90, None))]
    assert np.array_equal(count(halves).xty, wanted.xty)
    assert whole_masks(models.train_masks).data.tobytes() == whole_masks(masks).data.tobytes()


def test_the_price_of_both_is_refused_before_either_is_read(published, mirror):
    models = published(max_cost=2.4e-6).fitting
    masks, outputs = models.train_masks, models.test_margins
    for act in (lambda: st.Lasso().fit(masks, outputs), lambda: count(masks, outputs), lambda: public.fit(models)):
        with pytest.raises(
            InputError, match=r"reading toy/data/train_masks_50pct\.npy and toy/data/test_margins.* passes the limit"
        ):
            act()
    assert mirror.source.asked == []


def test_outputs_that_are_not_finite_are_named(published, mirror):
    margins = mirror.arrays["test_margins"].copy()
    margins[123, 2] = np.inf
    mirror.put("test_margins", npy(margins))
    models = published().fitting
    for act in (
        lambda: public.fit(models),
        lambda: st.Lasso().fit(models.train_masks, models.test_margins),
        lambda: count(models.train_masks, models.test_margins),
        lambda: st.LassoLarge().fit(models.train_masks, models.test_margins),
    ):
        with pytest.raises(InputError, match=r"the output of target 2 is inf"):
            act()
    kept = count(models.train_masks, models.test_margins, drop_nonfinite=True)
    assert kept.m == MODELS - HELDOUT - 1


def test_a_file_that_changes_on_the_way_ends_the_fit(published, mirror, monkeypatch):
    monkeypatch.setattr("subtrain.public.fitting._BLOCK", 100)
    models = published(cache_bytes=0)
    stream, calls = type(mirror.source).stream, iter(range(10**6))

    def changing(self, *args):
        if next(calls) == 20:
            mirror.put("test_margins", npy(mirror.arrays["test_margins"] + 1))
        yield from stream(self, *args)

    monkeypatch.setattr(type(mirror.source), "stream", changing)
    with pytest.raises(CorruptError, match="has been replaced"):
        public.fit(models)


def test_what_needs_the_models_twice_is_refused(published):
    for estimator in (st.LassoLarge(), st.AME()):
        with pytest.raises(InputError, match="does not fit from one pass over the models"):
            public.fit(published(), estimator=estimator)
    with pytest.raises(InputError, match="give validation as a share"):
        public.fit(published(), estimator=st.Lasso(validation=5))
    with pytest.raises(InputError, match="there is no rewards"):
        public.fit(published(), "rewards")
    with pytest.raises(InputError, match="GB allowed"):
        public.fit(published(), memory=1000)
