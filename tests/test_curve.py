"""Learning curves of a study while it grows: right where the answer is known, and harmless."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

import worlds
from commands import ok, run
from processes import wait_until
from subtrain import budget, evaluate, fit, learning_curve
from subtrain.collection import _missing, train_segment
from subtrain.designs.model_rows import EVALUATION
from subtrain.errors import InputError
from subtrain.explorer.data.summaries import tables
from subtrain.regression.study_models import finished_models
from subtrain.studies.imports.arrays import import_arrays
from subtrain.uses.learning_curve import _counted
from uses.planted import seeded_study


def some(study, fit_models, heldout):
    """Train the first models of each role, by whole segments."""
    (study.path / "segments").mkdir(exist_ok=True)
    held = set(study.design.role_rows(EVALUATION).tolist())
    for where in study.segments:
        limit = study.design.models + heldout if where[0] in held else fit_models
        if where[1] <= limit:
            train_segment(study, where)
    return study


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    from subtrain import Design, Study

    design = Design(models=400, heldout=20, replicates=2, seed=1)
    study = Study.create(tmp_path_factory.mktemp("curve") / "s", worlds.linear(noise=2.0), design, segment=20)
    return some(study, 400, 40)


@pytest.mark.filterwarnings("ignore::subtrain.regression.fit_warnings.FitWarning")
def test_validation_models_of_the_design_choose_lambda_at_every_size(make_study):
    study = make_study(task=worlds.linear(), models=100, heldout=20, validation=30, segment=64)
    points = learning_curve(study, [50, 100]).points
    assert [point.models for point in points] == [50, 100]
    assert points[1].lds.value == pytest.approx(evaluate(fit(study), study, bootstrap=0).lds.value, abs=0.05)


def test_more_models_are_worth_more(grown):
    curve = learning_curve(grown)
    assert [p.models for p in curve.points] == [100, 200, 400]
    assert (curve.output, curve.targets, curve.subsets, curve.replicates) == ("test_margins", 3, 20, 2)
    lds = [p.lds.value for p in curve.points]
    assert lds[0] < lds[2]
    assert all(p.lds.low < p.lds.value < p.lds.high for p in curve.points)
    assert len({p.ceiling for p in curve.points}) == 1
    assert f"100  LDS {curve.points[0].lds}" in str(curve)


def test_the_last_point_is_the_fit_on_everything(grown):
    last = learning_curve(grown).points[-1]
    found = evaluate(fit(grown, keep_counts=False), grown)
    assert last.lds.value == pytest.approx(found.lds.value, abs=1e-6)
    assert last.ceiling == pytest.approx(found.lds_ceiling)


def test_sizes_targets_and_output_as_asked(grown):
    curve = learning_curve(grown, sizes=[300, 60], output="train_margins", targets=7)
    assert [p.models for p in curve.points] == [60, 300]
    assert (curve.output, curve.targets) == ("train_margins", 7)


def test_a_curve_leaves_no_trace(grown):
    before = sorted(p for p in grown.path.rglob("*"))
    learning_curve(grown)
    assert sorted(p for p in grown.path.rglob("*")) == before


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ((0, 0), "0 fit models and 0 held-out subsets; it needs 50 and 3"),
        ((48, 40), "48 fit models and 20 held-out subsets"),
        ((200, 4), "200 fit models and 2 held-out subsets"),
    ],
)
def test_too_little_is_said_plainly(make_study, there, said):
    study = some(make_study(done=False, models=200, heldout=20), *there)
    with pytest.raises(InputError, match=f".* has too few models for a learning curve: {said}"):
        learning_curve(study)


def test_sizes_that_cannot_be(grown):
    for sizes in ([], [20], [401]):
        with pytest.raises(InputError, match="must be between 50 and the 400 models trained so far"):
            learning_curve(grown, sizes=sizes)


def test_what_is_judged_on_lands_along_with_what_is_fitted_on(make_study):
    study = make_study(done=False, models=200, heldout=20, segment=4)
    order = _missing(study, study.segments)
    assert sorted(order) == study.segments
    for done in range(6, len(order), 6):
        there = [row for where in order[:done] for row in range(*where)]
        held = sum(200 <= row < 240 for row in there) / 40
        assert abs(held - sum(row < 200 for row in there) / 200) < 0.15


def test_one_replicate_has_no_ceiling(make_study):
    study = some(make_study(done=False, task=worlds.linear(noise=0.5), models=60, heldout=20, replicates=1), 60, 20)
    [point] = learning_curve(study).points
    assert np.isnan(point.ceiling)
    assert json.loads(json.dumps(learning_curve(study).to_json(), allow_nan=False))["points"][0]["ceiling"] is None


def test_from_the_command_line_while_it_is_collected(make_study, tmp_path):
    params = {"control": str(tmp_path)}
    task = f"{worlds.__file__}:unruly"
    study = some(make_study(done=False, task=task, params=params, models=160, heldout=20), 120, 40)
    (tmp_path / "pause").write_text("1000")
    collect = [sys.executable, "-m", "subtrain", "collect", str(study.path), "--workers", "1"]
    with subprocess.Popen(collect, stderr=subprocess.DEVNULL) as runner:
        wait_until(lambda: bool(study.status().runners))
        data = json.loads(ok("status", study.path, "--curve", "--json"))
        text = ok("status", study.path, "--curve")
        assert runner.poll() is None
        runner.kill()
    assert (data["fit_done"], len(data["runners"])) == (120, 1)
    assert [point["models"] for point in data["curve"]["points"]] == [60, 120]
    assert "upper bound (noise)" in text
    assert "evaluated on the 20 held-out subsets x 2 runs that are committed" in text


def test_the_command_line_says_when_it_is_too_early(make_study):
    done = run("status", make_study(done=False).path, "--curve")
    assert done.returncode == 2
    assert "has too few models for a learning curve" in done.stderr


@pytest.fixture(scope="module")
def rows():
    """300 masks over 30 units and outputs of 4 targets that are linear in them, up to noise."""
    random = np.random.default_rng(0)
    masks = random.random((300, 30)) < 0.5
    return masks, masks @ random.normal(size=(30, 4)) + 3 * random.normal(size=(300, 4))


def imported(where, masks, outputs):
    return import_arrays(where, masks, {"test_margins": outputs}, heldout=60)


def test_models_with_a_mask_that_is_fitted_on_do_not_judge(rows, tmp_path):
    """Of 60 held-out rows 30 are copies: the curve, the budget and the report judge by the other 30."""
    masks, outputs = (part.copy() for part in rows)
    masks[270:], outputs[270:] = masks[:30], outputs[:30]
    study = imported(tmp_path / "copies", masks, outputs)
    with pytest.warns(UserWarning, match="30 of 60 held-out models have the same mask as one that was fitted on"):
        curve = learning_curve(study, sizes=[60, 240])
    plain = import_arrays(tmp_path / "plain", masks[:270], {"test_margins": outputs[:270]}, heldout=30)
    right = learning_curve(plain, sizes=[60, 240])
    assert curve.to_json()["points"] == right.to_json()["points"]
    assert (curve.subsets, right.notes) == (30, ())
    assert curve.to_json()["notes"][0].startswith("30 of 60")
    with pytest.warns(UserWarning, match="30 of 60"):
        assert budget(study, 0.9, sizes=[50, 100, 150, 240]).curve.subsets == 30
    dm = fit(study)
    arrays, about = tables(study, dm, np.ascontiguousarray(dm.weight.T, "f4"), lambda *_: None)
    assert about["evaluation"]["notes"][0].startswith("30 of 60")
    np.testing.assert_allclose(arrays["actual"], outputs[240:270].T, rtol=1e-5)


def test_outputs_that_are_not_finite_are_left_out_of_a_curve_and_counted(rows, tmp_path):
    masks, outputs = (part.copy() for part in rows)
    outputs[:, 2], outputs[10, 0], outputs[250, 1] = np.nan, np.inf, -np.inf
    study = imported(tmp_path / "holes", masks, outputs)
    with pytest.warns(UserWarning, match="inf or NaN"):
        curve = learning_curve(study, sizes=[60, 239])
    assert (curve.targets, curve.subsets) == (3, 59)
    said = " ".join(curve.notes)
    assert "1 of 4 targets are inf or NaN in most models (the first is target 2)" in said
    assert "1 of 240 models have an output that is inf or NaN (the first is model 10)" in said
    assert "1 of 60 held-out models" in said
    kept = [row for row in range(300) if row not in (10, 250)]
    plain = import_arrays(tmp_path / "plain", masks[kept], {"test_margins": outputs[kept][:, [0, 1, 3]]}, heldout=59)
    right = learning_curve(plain, sizes=[239])
    assert curve.points[-1].lds.value == pytest.approx(right.points[-1].lds.value, abs=0.03)


@pytest.fixture(scope="module")
def designed():
    """Four whole sides of paley sets over 100 units, with shared seeds, and validation models."""
    return seeded_study(4 * 103, heldout=20, targets=12)[0]


def test_a_designed_study_has_a_curve_of_whole_sets(designed):
    curve = learning_curve(designed)
    assert [p.models for p in curve.points] == [103, 206, 412]
    assert curve.sets == "paley masks, 206 models a set"
    last = evaluate(fit(designed, keep_counts=False), designed)
    assert curve.points[-1].lds.value == pytest.approx(last.lds.value, abs=1e-6)
    lds = [p.lds.value for p in curve.points]
    assert lds[0] < lds[1] < lds[2]
    assert len({p.ceiling for p in curve.points}) == 1


def test_each_size_is_what_a_study_of_so_many_models_gives(designed):
    """Models of a shorter study are the first of a longer one, with their pairs and seeds."""
    short, _ = seeded_study(206, heldout=20, targets=12, validation=20)
    [(_, there, *_)] = _counted(finished_models(short, None), [206], np.arange(12))
    [(_, here, *_)] = _counted(finished_models(designed, None), [206], np.arange(12))
    assert np.array_equal(here.gram, there.gram)
    assert np.allclose(here.xty, there.xty)
    [(size, train, validation, total, factor)] = _counted(finished_models(short, None), [160], np.arange(12))
    assert (size, train.m, validation.m, factor) == (160, 103, 20, 1.0)
    assert total is train


def test_a_budget_of_a_designed_study_says_whose_curve_it_is(designed):
    found = budget(designed, 0.5)
    assert [p.models for p in found.curve.points] == [51, 103, 206, 412]
    assert "paley masks, 206 models a set, and other designs have other curves" in found.finding()


@pytest.mark.parametrize("kind", ["fixed", "bernoulli"])
def test_random_masks_with_shared_seeds_and_validation_models_have_a_curve(kind):
    study, _ = seeded_study(200, heldout=20, targets=12, kind=kind, seeds=20, validation=20, anchors=0)
    curve = learning_curve(study)
    assert [p.models for p in curve.points] == [50, 100, 200]
    last = evaluate(fit(study, keep_counts=False), study)
    assert curve.points[-1].lds.value == pytest.approx(last.lds.value, abs=1e-6)
    assert curve.sets == ""


def test_evaluation_and_validation_models_share_no_seed(designed):
    """Or the ceiling would be of another noise than that of new models."""
    design = designed.design
    seeds = {role: set(design.seeds(design.role_rows(role)).tolist()) for role in ("fit", "validation", "evaluation")}
    assert (len(seeds["fit"]), len(seeds["evaluation"])) == (20, design.role_rows("evaluation").size)
    assert not seeds["fit"] & (seeds["validation"] | seeds["evaluation"])
