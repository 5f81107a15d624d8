"""Fits made of pieces, as a cluster makes them: the same numbers as in one process, bit for bit."""

import pickle

import numpy as np
import pytest

import subtrain as st
from subtrain.errors import InputError, MismatchError
from subtrain.regression import Lasso, Ridge, SharedPrior, count, fit_on_cluster
from subtrain.regression.counting.count_stream import count_blocks
from subtrain.regression.fit_on_cluster import Here, Piece, count_on
from subtrain.regression.lasso.target_blocks import lasso_from_counts
from subtrain.regression.study_models import finished_models

N, T = 30, 70


class Many(Here):
    """As if there were five machines: everything travels, and arrays arrive read-only, as from an object store."""

    slots = 5

    def __init__(self):
        self.pieces = []

    def map(self, function, items, shared=()):
        self.pieces += list(items)
        held = []
        data = pickle.dumps(tuple(shared), 5, buffer_callback=held.append)
        shared = pickle.loads(data, buffers=[memoryview(bytes(part.raw())) for part in held])
        for item in items:
            yield pickle.loads(pickle.dumps(function(pickle.loads(pickle.dumps(item)), *shared)))


@pytest.fixture
def arrays():
    rng = np.random.default_rng(5)
    masks = rng.random((700, N)) < 0.5
    weight = rng.normal(size=(N, T)) * (rng.random((N, T)) < 0.3)
    return masks, masks @ weight + 0.8 * rng.normal(size=(700, T)) - 1


@pytest.fixture(params=["float16", "float32"])
def study(arrays, tmp_path, request):
    masks, outputs = arrays
    return st.Study.from_arrays(tmp_path / "study", masks, {"test_margins": outputs.astype(request.param)}, heldout=100)


def same(a, b):
    for name in ("ones", "xty", "y_sum", "y_sq", "y_min", "y_max", "y_dev"):
        assert getattr(a, name).tobytes() == getattr(b, name).tobytes(), name
    np.testing.assert_array_equal(np.asarray(a.gram), np.asarray(b.gram))
    assert (a.m, a.n) == (b.m, b.n)


@pytest.fixture
def short_passes(monkeypatch):
    """Passes of 200 models over blocks of 50, so that few models make many."""
    for module in ("study_models", "fit_on_cluster"):
        monkeypatch.setattr(f"subtrain.regression.{module}.BLOCK", 50)
    monkeypatch.setattr("subtrain.regression.fit_on_cluster.PASS", 200)
    monkeypatch.setattr("subtrain.regression.counting.count_stream.BLOCK", 200)


def skipped(blocks, done):
    """The blocks without the first models, as counting goes on after an interruption."""
    for masks, outputs in blocks:
        skip = min(done, len(masks))
        done -= skip
        if skip < len(masks):
            yield masks[skip:], outputs[skip:]


@pytest.mark.usefixtures("short_passes")
@pytest.mark.parametrize("gram", ["dense", "compact", "none"])
@pytest.mark.parametrize("done", [0, 200, 275])
def test_counts_of_pieces_are_those_of_one_process(study, gram, done):
    models = finished_models(study, None)
    rows = models.rows[:583]
    one = count_blocks(models.blocks(rows[:done]), threads=1, gram=gram) if done else None
    expected = count_blocks(skipped(models.blocks(rows), done), threads=1, gram=gram, start=one)
    mapper = Many()
    same(count_on(mapper, models, rows, gram, one, done), expected)
    assert sum(piece.targets is None for piece in mapper.pieces) == 5
    slices = {(piece.targets.start, piece.targets.stop) for piece in mapper.pieces if piece.targets is not None}
    assert slices == {(0, 64), (64, 70)} if done == 0 else {(0, 32), (32, 64), (64, 70)}


def fitted(dm):
    return [part.tobytes() for part in (dm.weight, dm.bias, dm.lam)]


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize(
    "estimator",
    [
        *(pytest.param(one, id=repr(one)) for one in (Lasso(), Lasso(refit=False), Ridge(), Lasso(validation=3))),
        pytest.param(SharedPrior(pairs=None, guess=np.eye(N, T)), id="SharedPrior(guess)"),
    ],
)
def test_a_fit_of_pieces_is_the_fit_of_one_process(study, estimator, keep):
    mapper = Many()
    expected = fitted(st.fit(study, estimator=estimator, keep_counts=False))
    assert fitted(st.fit(study, estimator=estimator, keep_counts=keep, engine=mapper)) == expected
    assert mapper.pieces
    again = Many()
    assert fitted(st.fit(study, estimator=estimator, keep_counts=keep, engine=again)) == expected
    assert len(again.pieces) < len(mapper.pieces) if keep else len(again.pieces) == len(mapper.pieces)
    assert fitted(st.fit(study, estimator=estimator)) == expected


@pytest.mark.filterwarnings("ignore::subtrain.regression.fit_warnings.FitWarning")
def test_a_study_that_grew_costs_its_new_models(study, monkeypatch):
    whole = finished_models(study, None)
    short = type(whole)(whole.study, whole.output, whole.rows[:300])
    monkeypatch.setattr("subtrain.regression.fit_study.finished_models", lambda *_: short)
    st.fit(study, engine=Many())
    monkeypatch.undo()
    mapper = Many()
    expected = fitted(st.fit(study, keep_counts=False))
    assert fitted(st.fit(study, engine=mapper)) == expected
    rows = np.concatenate([piece.rows for piece in mapper.pieces if isinstance(piece, Piece) and not piece.targets])
    fit_on, choose_by = whole.parts(0.1, 0).values()
    np.testing.assert_array_equal(np.sort(rows), np.sort(np.concatenate([fit_on[fit_on >= 300], choose_by])))


@pytest.mark.parametrize("compact", [False, True])
def test_paths_of_blocks_over_counts_that_cannot_be_written_to(arrays, compact):
    masks, outputs = arrays
    gram = "compact" if compact else "dense"
    train, valid = (count(masks[some], outputs[some], gram=gram) for some in (slice(500), slice(500, None)))
    expected = lasso_from_counts(train, valid)
    found = lasso_from_counts(train, valid, mapper=Many())
    for name in expected.__dataclass_fields__:
        assert getattr(found, name).tobytes() == getattr(expected, name).tobytes(), name


def test_another_study_at_the_same_path_is_refused(study, monkeypatch):
    models = finished_models(study, None)
    monkeypatch.setattr(type(study), "identity", "another")
    place = fit_on_cluster.Place(str(study.path), study.design.__class__.__name__, "test_margins")
    with pytest.raises(MismatchError, match="another study on another machine"):
        place.models(models.rows)


def test_engines_that_do_not_exist(study):
    with pytest.raises(InputError, match="local or ray, got 'dask'"):
        st.fit(study, engine="dask")
    with pytest.raises(InputError, match="address"):
        st.fit(study, address="10.0.0.1:6379")
