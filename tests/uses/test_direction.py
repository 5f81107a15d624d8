"""Which way is better: one declaration of a quantity, read by every use, on worlds whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from subtrain import Datamodels, Output, Study, banzhaf
from subtrain.errors import InputError
from subtrain.outputs import declare
from subtrain.quantities import QUANTITIES, Quantity, quantity_of
from subtrain.studies.imports.arrays import import_arrays
from subtrain.uses.clusters import clusters
from subtrain.uses.counterfactual import counterfactuals
from subtrain.uses.group_debias import debias_group
from subtrain.uses.kit.removals import removals
from subtrain.uses.memorization import empirical_influence, memorization
from subtrain.uses.mislabeled import mislabeled
from subtrain.uses.neighbors import neighbors
from subtrain.uses.poison import poison
from subtrain.uses.select import select
from subtrain.uses.support import support

N, M, HELPS, HARMS = 20, 400, 3, 7


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("test_margins", "higher"),
        ("margins", "higher"),
        ("train_correctness", "higher"),
        ("test_losses", "lower"),
        ("losses", "lower"),
        ("loss", "lower"),
        ("val_loss", "lower"),
        ("testLoss", "lower"),
        ("mean_loss_per_example", "lower"),
        ("nll", "lower"),
        ("test_error_rate", "lower"),
        ("test_acc", "higher"),
        ("accuracy", "higher"),
        ("log_likelihood", "higher"),
        ("negative_log_likelihood", "lower"),
        ("neg_log_loss", "higher"),
        ("test_predictions", None),
        ("test_logits", None),
        ("y", None),
        ("loss_drop", None),
    ],
)
def test_a_name_tells_its_direction_as_far_as_it_does(name, better):
    assert quantity_of(name).better == better


def test_what_is_declared_goes_before_the_name():
    assert quantity_of("y", "lower").sign == -1
    assert quantity_of("test_losses", "higher").better == "higher"
    assert quantity_of("test_losses", "neither").sides == ("raises", "lowers")
    # Of a "margin" of which less is better, zero tells nothing.
    assert quantity_of("test_margins", "lower").right_above is None
    assert quantity_of("test_margins", "higher") is QUANTITIES["margins"]
    with pytest.raises(InputError, match="better must be higher, lower or neither, got 'up'"):
        Output((3,), better="up")


ENTROPY = Quantity("entropy of the prediction", "entropy", of=lambda logits, labels: logits.sum(axis=-1))
SPREAD = Quantity("spread of the logits", "spread", better="lower", of=ENTROPY.of)


@pytest.fixture
def new_quantities():
    for name in ("ENTROPY", "SPREAD"):
        QUANTITIES.add(name.lower(), f"{__name__}:{name}")
    yield
    QUANTITIES.forget()


def test_a_new_quantity_leaves_the_direction_of_outputs_that_somebody_has_long_called_so(new_quantities):
    for name, better in (("entropy", "lower"), ("spread", None)):
        for output in (f"test_{name}", name, f"val_{name}"):
            assert quantity_of(output).better == better
            assert quantity_of(output).of is None


def test_an_output_of_a_new_quantity_declares_the_direction_that_its_name_does_not_tell(new_quantities):
    schema = declare(["test_entropy", "test_spread", "test_losses", "test_logits"], {"test": 3}, 7)
    assert [spec.better for spec in schema.values()] == ["neither", "lower", None, None]
    for name, quantity in (("test_entropy", ENTROPY), ("test_spread", SPREAD), ("test_losses", QUANTITIES["losses"])):
        assert quantity_of(name, schema[name].better) is quantity


@pytest.mark.parametrize("name", QUANTITIES)
def test_a_registered_quantity_is_a_quantity_with_words(name):
    quantity = QUANTITIES[name]
    assert isinstance(quantity, Quantity)
    assert quantity.called
    assert quantity.short
    assert callable(quantity.of)
    assert quantity.better in ("higher", "lower", None)


def test_a_direction_is_stored_only_if_it_was_declared():
    assert Output((3,)).to_json() == {"shape": [3], "dtype": "float16", "meaning": ""}
    declared = Output((3,), better="lower").to_json()
    assert declared["better"] == "lower"
    assert Output(**declared).better == "lower"


def world(folder, name, better=None, sign=1, targets=4):
    """A study whose outputs get better with unit HELPS and worse with unit HARMS; sign -1: less of them is better."""
    random = np.random.default_rng(0)
    masks = random.random((M, N)) < 0.5
    goodness = 2.0 * masks[:, [HELPS]] - 1.0 * masks[:, [HARMS]] + 0.1 * random.normal(size=(M, targets))
    return import_arrays(folder, masks, {name: (5 + sign * goodness).astype("f4")}, better=better)


def fitted(study, name, sign, targets=4):
    weight = np.zeros((N, targets), np.float32)
    weight[HELPS], weight[HARMS] = 2 * sign, -sign
    return Datamodels(weight, np.zeros(targets), np.zeros(targets), {"output": name})


@pytest.mark.parametrize(
    ("name", "better", "sign"),
    [("test_margins", None, 1), ("losses", None, -1), ("test_loss", None, -1), ("y", "lower", -1), ("y", "higher", 1)],
)
def test_what_helps_is_helpful_everywhere(tmp_path, name, better, sign):
    study = world(tmp_path / "r", name, better, sign)
    dm = fitted(study, name, sign)
    found = neighbors(dm, study, targets=[0], k=1)
    assert list(zip(found.side.tolist(), found.unit.tolist(), strict=True)) == [("helpful", HELPS), ("harmful", HARMS)]
    jobs = {job.kind: list(job.units) for job in counterfactuals(dm, study, [0], sizes=[1]).removals}
    assert (jobs["helpful"], jobs["harmful"]) == ([HELPS], [HARMS])
    chosen = select(dm, study, drop=1, others=0.0)
    assert np.flatnonzero(~chosen.kept).tolist() == [HARMS]
    assert int(chosen.table()["unit"][0]) == HELPS
    worth = banzhaf(study, utility="mean").table()
    assert (worth["unit"][0], worth["unit"][-1]) == (HELPS, HARMS)
    assert worth["value"][0] > 0 > worth["value"][-1]
    assert np.flatnonzero(~debias_group(dm, study, list("aabb"), 1).kept).tolist() == [HARMS]
    assert ("less of" in repr(found)) == ("less of" in repr(chosen)) == (sign < 0)
    assert ("minus the mean" in repr(banzhaf(study, utility="mean"))) == (sign < 0)


def test_predictions_have_no_direction(tmp_path):
    study = world(tmp_path / "r", "test_predictions")
    dm = fitted(study, "test_predictions", 1)
    found = neighbors(dm, study, targets=[0], k=1)
    assert list(zip(found.side.tolist(), found.unit.tolist(), strict=True)) == [("raises", HELPS), ("lowers", HARMS)]
    assert "helpful" not in repr(found)
    assert "of test_predictions neither more nor less is known to be better" in repr(found)
    assert {job.kind for job in removals(dm, study, [0], [1])} == {"raises", "lowers", "random"}
    for refused in (lambda: select(dm, study, drop=1), lambda: debias_group(dm, study, list("aabb"), 1)):
        with pytest.raises(InputError, match="a selection needs to know which way is better, and of test_predictions"):
            refused()
    assert np.flatnonzero(~select(dm, study, drop=1, others=0.0, better="lower").kept).tolist() == [HELPS]
    assert "neither more nor less" in repr(banzhaf(study))
    with pytest.raises(InputError, match="test_predictions is not margins"):
        support(dm, study)


def test_a_fit_alone_knows_what_its_study_declared():
    dm = Datamodels(np.float32([[1.0], [-2.0]]), np.zeros(1), np.zeros(1), {"output": "y", "better": "lower"})
    assert neighbors(dm, k=1).unit.tolist() == [1, 0]
    assert neighbors(Datamodels(dm.weight, dm.bias, dm.lam, {"output": "y"}), k=1).sides == ("raises", "lowers")


def test_the_fit_of_a_declared_output_says_so(tmp_path):
    from subtrain import MeanDifference, fit

    study = world(tmp_path / "r", "y", "lower", -1)
    assert fit(study, estimator=MeanDifference(), keep_counts=False).meta["better"] == "lower"
    assert Study.open(tmp_path / "r").outputs["y"].better == "lower"
    plain = world(tmp_path / "plain", "test_margins")
    assert "better" not in fit(plain, estimator=MeanDifference(), keep_counts=False).meta


def test_clusters_share_what_helps_them():
    random = np.random.default_rng(0)
    weight = (0.01 * random.normal(size=(30, 20))).astype(np.float32)
    weight[0, :10] = weight[1, 10:] = -3  # lowers the losses of either half
    weight[2] = 2
    dm = Datamodels(weight, np.zeros(20), np.zeros(20), {"output": "test_losses"})
    found = clusters(dm, k=2, affinity="cosine")
    assert {found.common(c, 1)[0].number for c in range(2)} == {0, 1}
    assert all(found.common(c, 1)[0].share == 1 for c in range(2))


def own_world(folder, name, sign):
    """Models are better on an example that they were trained on, except on the mislabeled 0 and 1, on which they are
    bad without it; 4, 5 and 6 hold one another up."""
    random = np.random.default_rng(1)
    masks = random.random((M, N)) < 0.5
    good = 1.0 + masks + 0.1 * random.normal(size=(M, N))
    good[:, :2] -= 3
    return import_arrays(folder, masks, {name: (sign * good).astype("f4")})


@pytest.mark.parametrize(("name", "sign"), [("train_margins", 1), ("train_losses", -1)])
def test_suspects_are_the_same_by_losses(tmp_path, name, sign):
    study = own_world(tmp_path / "r", name, sign)
    found = mislabeled(study, output=name, known=[0, 1])
    assert set(found.order[:2].tolist()) == {0, 1}
    assert found.auc["without"] == 1
    assert ("agreement" in found.scores) == (sign > 0)
    repr(found), found.table(), found.figure()
    weight = np.zeros((N, N), np.float32)
    weight[np.ix_([4, 5, 6], [4, 5, 6])] = sign
    dm = Datamodels(weight, np.zeros(N), np.zeros(N), {"output": name})
    assert sorted(poison(dm, study, size=3).suspects.tolist()) == [4, 5, 6]


def test_memorization_needs_to_know_who_is_right(tmp_path):
    study = own_world(tmp_path / "r", "train_losses", -1)
    with pytest.raises(InputError, match="train_losses does not tell whether a model is right"):
        memorization(study, "train_losses")
    found = empirical_influence(study, "train_losses")
    assert "pairs of 0.15" not in repr(found)
    assert "less of train_losses is better" in repr(found)
    predictions = own_world(tmp_path / "p", "train_predictions", 1)
    with pytest.raises(InputError, match="which way is better, and of train_predictions"):
        mislabeled(predictions, output="train_predictions")


def test_sizes_are_removed_as_asked_or_said_to_be_impossible(tmp_path):
    study = world(tmp_path / "r", "test_margins")
    weight = np.zeros((N, 3), np.float32)
    weight[:5, 0], weight[:9, 1], weight[10:14, 1] = 1, 1, -1
    dm = Datamodels(weight, np.zeros(3), np.zeros(3), {"output": "test_margins"})
    found = counterfactuals(dm, study, [0, 1], sizes=[4, 8])
    assert {len(job.units) for job in found.removals} == {4, 8}
    assert [(job.target, job.kind, len(job.units)) for job in found.removals if job.kind != "random"] == [
        (0, "helpful", 4),
        (1, "helpful", 4),
        (1, "helpful", 8),
        (1, "harmful", 4),
    ]
    assert "8 helpful units for 1 of 2 targets, which have 5" in repr(found)
    assert "8 harmful units for 2 of 2 targets, which have at most 4" in repr(found)
    with pytest.raises(InputError, match="no target has so many units with a weight"):
        counterfactuals(dm, study, [2], sizes=[4])


def test_what_does_not_exist_is_no_number():
    from subtrain.uses.kit.effect_agreement import agreement
    from subtrain.uses.support import Support

    one = agreement(np.ones(1), np.ones(1), np.zeros(1, int), np.zeros(1), np.zeros(1))
    assert "nan" not in str(one)
    above = agreement(np.arange(6.0), np.arange(6.0), np.zeros(6, int), np.full(6, 2.0), np.zeros(6))
    assert "1.000 at its upper bound of about" in str(above)
    found = Support(np.arange(2), np.ones(2), np.array([-1, 4]), {}, np.full(2, np.nan), False, 0, "test_margins", 9)
    assert found.to_json()["support"] == [None, 4]
