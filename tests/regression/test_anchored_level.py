"""Levels: models of one size cannot tell them, anchors can, and nothing else changes."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as hst

import subtrain as st
from subtrain.datamodels import Datamodels
from subtrain.designs.anchors import anchor_alpha, usual_anchors
from subtrain.designs.model_rows import ANCHOR, FIT
from subtrain.errors import InputError

# Of worlds as small as these some targets have little signal.
pytestmark = pytest.mark.filterwarnings("ignore::subtrain.regression.fit_warnings.FitWarning")

N, TARGETS, NOISE = 60, 40, 0.3
RANDOM = np.random.default_rng(3)
# Every unit helps a little, as in training: no estimator that shrinks weights towards 0 can see that.
WEIGHT = 0.08 + RANDOM.normal(0, 0.15, (N, TARGETS)) * (RANDOM.random((N, TARGETS)) < 0.3)
BEND = RANDOM.normal(-1.5, 0.3, TARGETS)


def expected(masks):
    share = masks.mean(axis=-1, keepdims=True)
    return masks @ WEIGHT + BEND * (share - 0.5) ** 2 / 0.25


def train(indices, seed):
    mask = np.zeros(N)
    mask[indices] = 1
    noise = np.random.default_rng([seed, len(indices)]).normal(0, NOISE, TARGETS)
    return {"margins": expected(mask) + noise}


TASK = st.tasks.function(train, n=N, outputs={"margins": st.Output([TARGETS], "float64", better="higher")})


def planted(**design):
    study = st.Study.create(":memory:", TASK, st.Design(**{"models": 240, "heldout": 0, "kind": "fixed"} | design))
    study.collect(progress=False)
    return study


@pytest.fixture(scope="module")
def study():
    return planted(anchors=24)


@pytest.fixture(scope="module")
def fits(study):
    return [study.fit(estimator=one) for one in (st.Lasso(), st.Ridge(), st.SharedPrior())]


TRUE = expected(np.ones(N))


def off(found):
    return float(np.sqrt(np.mean((found - TRUE) ** 2)))


def test_estimators_agree_on_all_units_with_anchors_and_differ_without(fits):
    alone = [dm.bias + dm.weight.sum(axis=0, dtype=float) for dm in fits]
    assert max(np.abs(a - b).mean() for a in alone for b in alone) > 0.15
    assert min(map(off, alone)) > 0.3
    for dm in fits:
        assert off(dm.whole()) < 0.12
        assert np.allclose(dm.whole([3, 5]), dm.predict(np.ones(N, bool), [3, 5]))
        assert dm.level_said == "level identified by 24 anchor models"
    assert max(np.abs(a.whole() - b.whole()).max() for a in fits for b in fits) < 0.15


def test_standard_errors_of_the_level_hold(fits):
    for dm in fits:
        held = np.abs(dm.whole() - TRUE) < 1.96 * dm.level[2]
        assert held.mean() >= 0.85
        assert np.median(dm.level[2]) < 0.15


def test_sizes_between_are_bent_as_they_are(fits):
    random = np.random.default_rng(0)
    for size in (36, 45, 54):
        masks = np.zeros((40, N), bool)
        for mask in masks:
            mask[random.choice(N, size, replace=False)] = True
        apart = fits[1].predict(masks).mean(axis=0) - expected(masks).mean(axis=0)
        assert np.sqrt(np.mean(apart**2)) < 0.12


def test_anchors_are_never_fitted_on_and_change_no_prediction_at_alpha(study, fits):
    without = planted(anchors=0)
    fitted = without.fit()
    assert np.array_equal(fitted.weight, fits[0].weight)
    assert fitted.level is None
    assert fitted.level_said == "level not identified: only differences at alpha 0.5 can be trusted"
    masks = study.masks(study.done(FIT)[:20])
    assert np.array_equal(fits[0].predict(masks), fitted.predict(masks))
    assert not fits[0].level_of([N // 2]).any()


def test_what_removal_does_is_the_difference_of_two_predictions(fits):
    gone = [4, 9, 11]
    mask = np.ones(N, bool)
    mask[gone] = False
    for dm in fits:
        assert np.allclose(dm.effect_of_removing(gone), dm.predict(mask) - dm.whole())
    # A mean weight of 0.08 is seen by its level: the average unit's removal lowers the margin by it and the bend.
    average = np.mean([fits[0].effect_of_removing([unit]).mean() for unit in range(N)])
    true = np.mean([(expected(np.arange(N) != unit) - TRUE).mean() for unit in range(N)])
    assert average == pytest.approx(true, abs=0.02)


def test_the_level_is_kept_in_folders_and_not_in_the_published_file(fits, tmp_path):
    dm = fits[0]
    dm.save(tmp_path / "fit")
    again = Datamodels.load(tmp_path / "fit")
    assert np.array_equal(again.level, dm.level)
    assert set(torch.load(tmp_path / "fit" / "datamodels.pt")) == {"weight", "bias", "lam"}
    assert json.loads((tmp_path / "fit" / "datamodels.json").read_text())["level"] == {"anchors": 24}
    dm.save(tmp_path / "fit.pt")
    bare = Datamodels.load(tmp_path / "fit.pt")
    assert bare.level is None
    assert bare.level_said.startswith("level not identified"), "its metadata name anchors, but the level is not there"
    st.Datamodels(dm.weight, dm.bias, dm.lam, {k: v for k, v in dm.meta.items() if k != "level"}).save(tmp_path / "fit")
    assert Datamodels.load(tmp_path / "fit").level is None
    with pytest.raises(InputError, match="a level is of shape"):
        Datamodels(dm.weight, dm.bias, dm.lam, dm.meta, level=dm.level[:2])


def test_anchors_may_come_later_and_be_few():
    study = planted(models=120, anchors=0)
    assert study.fit().level is None
    longer = study.extend(anchors=1)
    longer.collect(progress=False)
    one = longer.fit()
    assert one.meta["level"] == {"anchors": 1}
    assert not one.level[1].any(), "one size tells no bend"
    assert off(one.whole()) < 0.5
    three = longer.extend(anchors=2)
    three.collect(progress=False)
    assert three.design.alphas(three.done(ANCHOR)).tolist() == [1.0, 0.75, 0.9]
    assert off(three.fit().whole()) < 0.35


def test_masks_of_several_sizes_tell_the_level_themselves():
    study = planted(alpha=(0.3, 0.6, 0.9), anchors=None)
    assert study.done(ANCHOR).size == 0
    dm = study.fit(estimator=st.Ridge())
    assert dm.level is None
    assert dm.level_said == "level identified by masks of several sizes"
    assert planted(kind="bernoulli", anchors=0).fit().level_said == dm.level_said
    assert planted(kind="bernoulli").fit().level_said == "level identified by 24 anchor models"


@settings(max_examples=60, deadline=None)
@given(
    n=hst.integers(2, 300),
    alpha=hst.floats(0.05, 0.95),
    anchors=hst.integers(1, 9),
    kind=hst.sampled_from(["fixed", "bernoulli", "stratified"]),
)
def test_anchors_are_larger_than_other_masks_and_the_rest_stays(n, alpha, anchors, kind):
    if int(alpha * n) < 3:
        return
    strata = tuple(int(k % 2) for k in range(n)) if kind == "stratified" else None
    given = {"alpha": round(alpha, 3), "models": 1, "heldout": 0, "n": n, "kind": kind, "strata": strata}
    plain, anchored = st.Design(**given, anchors=0), st.Design(**given, anchors=anchors)
    rows = anchored.role_rows(ANCHOR)
    sizes = anchored.masks(rows).sizes()
    assert np.array_equal(anchored.masks(range(plain.rows)).data, plain.masks().data)
    assert sizes[0] == n
    assert (sizes > int(np.floor(round(alpha, 3) * n + 1e-9))).all()
    assert len(set(anchored.seeds(rows).tolist())) == anchors
    assert st.Design.from_json(anchored.to_json()) == anchored
    longer = anchored.extend(anchors=3)
    assert np.array_equal(longer.masks(rows).data, anchored.masks(rows).data)


def test_how_many_anchors_there_are_by_default():
    assert [usual_anchors(m, 0.5) for m in (10, 99, 100, 120, 240, 10_000)] == [0, 0, 9, 12, 24, 24]
    assert usual_anchors(1000, (0.2, 0.5)) == 0
    assert [anchor_alpha(k, 0.3, 1000) for k in range(4)] == [1.0, 0.65, 0.86, 1.0]
    assert st.Design.from_json({"models": 500, "n": 50, "kind": "fixed"}).anchors == 0, "as studies of 0.1.0 have"


def test_targets_whose_outputs_are_not_finite_are_left_out_of_the_level(tmp_path):
    study = planted(models=120, anchors=6)
    masks, margins = study.masks().unpack(), study.read("margins")
    margins[study.done(FIT), 2] = np.nan
    margins[study.done(ANCHOR)[1], 5] = np.inf
    np.save(tmp_path / "masks.npy", masks)
    spans = [[int(rows[0]), int(rows[-1]) + 1] for rows in [study.done(ANCHOR)]]
    from subtrain.studies.imports.arrays import import_arrays
    from subtrain.studies.imports.exported_design import ExportedDesign

    made = import_arrays(
        tmp_path / "again", masks, {"margins": margins}, evaluation=[], exported=ExportedDesign([], [], spans, {})
    )
    with pytest.warns(UserWarning, match="target"):
        dm = st.fit(made)
    assert np.isfinite(dm.level).all()
    assert dm.meta["level"] == {"anchors": 5}
