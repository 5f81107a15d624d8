"""Remote arrays against numpy's own, for every index; and that nothing but the right bytes is read, or served."""

import copy
import itertools
import warnings

import numpy as np
import obstore
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from obstore.store import MemoryStore

from mirror import ADDRESS, HELDOUT, MODELS, UNITS, Mirror, Watched, key_of, npy
from subtrain import public
from subtrain.errors import CorruptError, InputError, MismatchError, StorageError
from subtrain.public import PriceWarning, RemoteArray
from subtrain.public.price import FREE, Network, Purse, Rates
from subtrain.public.remote.arrays import Opened
from subtrain.public.remote.npy_header import FIRST, read_header

RESULTS = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def remote(array: np.ndarray, rates: Rates = FREE, limit: float | None = None) -> RemoteArray:
    """The array as a remote one, nothing of it kept."""
    store = MemoryStore()
    obstore.put(store, "x.npy", npy(array))
    source = Watched(store, ADDRESS, True)
    version, start = source.look("x.npy")
    header = read_header(start[:FIRST], version.size, "x")
    return RemoteArray.of(Opened(source, "x.npy", version, header, rates, Network(), Purse(limit)))


def index(length: int) -> st.SearchStrategy:
    number = st.integers(-length, length - 1)
    return st.one_of(
        st.slices(length),
        number,
        st.lists(number, max_size=6).map(lambda indices: np.array(indices, int)),
        st.lists(st.booleans(), min_size=length, max_size=length).map(np.array),
    )


@given(st.data())
@RESULTS
def test_every_index_gives_what_numpy_gives(data):
    shape = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=3))
    dtype = data.draw(st.sampled_from(["?", "<f2", ">f2", "<f4", "u1"]))
    array = (np.arange(np.prod(shape)) % 2 if dtype == "?" else np.arange(np.prod(shape))).astype(dtype).reshape(shape)
    array = np.asfortranarray(array) if data.draw(st.booleans()) else array
    one = data.draw(st.integers(0, len(shape) - 1))
    key = tuple(data.draw(index(length) if axis == one else st.slices(length)) for axis, length in enumerate(shape))[
        : data.draw(st.integers(1, len(shape)))
    ]
    found = remote(array)[key]
    wanted = array[key]
    assert found.shape == wanted.shape
    assert found.dtype == array.dtype
    assert np.array_equal(found, wanted)


@given(st.slices(12), st.slices(7), st.slices(12))
@RESULTS
def test_parts_are_arrays_of_their_own(rows, columns, again):
    array = np.arange(84, dtype=np.float32).reshape(12, 7)
    part = remote(array).part(rows, columns)
    wanted = array[rows, columns]
    assert part.shape == wanted.shape
    assert (part.size, part.nbytes, part.ndim, len(part)) == (wanted.size, wanted.nbytes, 2, len(wanted))
    assert np.array_equal(part[again], wanted[again])
    assert np.array_equal(np.asarray(part), wanted)
    assert np.array_equal(list(part), list(wanted))


def test_it_reads_only_the_bytes_of_a_slice(published, mirror):
    models = published()
    assert mirror.source.asked == [], "nothing is asked for before there is something to read"
    rows = models.train_masks[100:200]
    assert np.array_equal(rows, mirror.arrays["train_masks"][100:200])
    assert mirror.source.asked == [(key_of("train_masks"), 128 + 100 * UNITS, 128 + 200 * UNITS)]
    assert np.array_equal(models.test_logits[3:5, 2], mirror.arrays["test_logits"][3:5, 2])


def test_columns_are_a_request_a_row_with_a_warning_and_a_price():
    wide = np.arange(600 * 20_000, dtype=np.float16).reshape(600, 20_000)
    part = remote(wide, Rates(), 1.0)
    choice = part.price(columns=slice(5, 9))
    assert choice.taken.price.requests == 600
    with pytest.warns(PriceWarning, match=r"x\.npy: 600 pieces of 8 B on average: 4\.8 kB in 600 requests"):
        found = part[:, 5:9]
    assert np.array_equal(found, wide[:, 5:9])
    assert part.file.source.bytes_asked() == 600 * 8
    assert part.file.purse.spent == pytest.approx(choice.taken.price.dollars)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert part[:10, 5:9].shape == (10, 4)


def test_gaps_are_read_along_where_requests_are_dearer():
    array = np.arange(4000, dtype=np.float16).reshape(200, 20)
    part = remote(array, Rates(), 1.0)
    assert np.array_equal(part[:, 5:9], array[:, 5:9])
    assert len(part.file.source.asked) == 1
    assert part.file.source.bytes_asked() == 199 * 40 + 8


def test_long_runs_come_in_parallel_pieces(monkeypatch):
    from subtrain.public.remote import byte_ranges

    monkeypatch.setattr(byte_ranges, "PIECE", 1000)
    array = np.arange(5000, dtype=np.float32).reshape(50, 100)
    part = remote(array)
    assert np.array_equal(part[7:44], array[7:44])
    assert len(part.file.source.asked) == 15
    assert part.file.source.bytes_asked() == 37 * 400


def test_what_was_read_is_kept_and_only_the_rest_is_asked_for(published, mirror):
    models = published()
    models.train_masks[50:100]
    spent = models.spent
    mirror.source.asked.clear()
    again = published()
    assert np.array_equal(again.train_masks[60:90], mirror.arrays["train_masks"][60:90])
    assert mirror.source.asked == []
    assert again.spent < spent, "only looking at the header again"
    assert np.array_equal(again.train_masks[40:110], mirror.arrays["train_masks"][40:110])
    assert sorted(span for _, *span in mirror.source.asked) == [
        [128 + 40 * UNITS, 128 + 50 * UNITS],
        [128 + 100 * UNITS, 128 + 110 * UNITS],
    ]


def test_nothing_of_a_file_that_has_changed_is_served(published, mirror):
    models = published()
    models.train_masks[50:100]
    other = ~mirror.arrays["train_masks"]
    mirror.put("train_masks", npy(other))
    with pytest.raises(CorruptError, match=r"train_masks_50pct\.npy has been replaced since it was opened"):
        models.train_masks[100:150]
    assert np.array_equal(published().train_masks[50:150], other[50:150]), "what was kept is of the other version"


def test_a_bucket_that_ignores_if_match_is_found_out(published, mirror, monkeypatch):
    models = published()
    models.train_masks  # noqa: B018
    mirror.put("train_masks", npy(~mirror.arrays["train_masks"]))
    get = obstore.get

    def deaf(store, key, *, options=None):
        return get(store, key, options={k: v for k, v in (options or {}).items() if k != "if_match"})

    monkeypatch.setattr(obstore, "get", deaf)
    with pytest.raises(CorruptError, match="has been replaced"):
        models.train_masks[3]


@pytest.mark.parametrize(
    ("damage", "error", "said"),
    [
        (lambda data, array: data[:-1], CorruptError, "cut off"),
        (lambda data, array: data + b"x", CorruptError, "header is wrong"),
        (lambda data, array: npy(array.astype("f4")), MismatchError, "dtype float32, not float16"),
        (lambda data, array: npy(array[:-1]), MismatchError, r"shape \[259, 5\], not \[260, 5\]"),
        (lambda data, array: npy(array.T), MismatchError, r"shape \[5, 260\]"),
        (lambda data, array: data.replace(b"(260, 5)", b"(520, 5)"), CorruptError, "declares an array"),
        (lambda data, array: npy(array.astype(object)), CorruptError, "Python objects"),
        (lambda data, array: b"", StorageError, "cannot read|whole"),
        (lambda data, array: b"PK\x03\x04" + bytes(1000), CorruptError, "zip archive"),
    ],
)
def test_a_file_that_is_not_what_was_published_is_not_opened(published, mirror, damage, error, said):
    array = mirror.arrays["test_margins"]
    mirror.put("test_margins", damage(npy(array), array))
    with pytest.raises(error, match=said):
        published().test_margins  # noqa: B018
    assert mirror.source.asked == []


def test_bytes_that_are_no_bool_are_damage(published, mirror):
    data = bytearray(npy(mirror.arrays["train_masks"]))
    data[128 + 3 * UNITS + 2] ^= 0x40
    mirror.put("train_masks", bytes(data))
    models = published()
    assert models.train_masks[:3].shape == (3, UNITS)
    with pytest.raises(CorruptError, match="neither true nor false"):
        models.train_masks[3]


def test_a_shape_that_the_catalogue_was_not_certain_of_is_the_files(published, mirror):
    import json

    data = json.loads(mirror.catalogue.read_text())
    for file in data["files"]:
        file["shape_certain"] = False
    mirror.catalogue.write_text(json.dumps(data))
    mirror.put("test_margins", npy(mirror.arrays["test_margins"][:, :4]))
    with pytest.warns(UserWarning, match=r"shape \[260, 4\], not \[260, 5\]; the catalogue was not certain"):
        assert published().test_margins.shape == (260, 4)


def test_fitting_and_evaluation_models_are_apart(published, mirror):
    models = published()
    assert np.array_equal(models.fitting.train_masks[:], mirror.arrays["train_masks"][:-HELDOUT])
    assert np.array_equal(models.evaluation.test_margins[:], mirror.arrays["test_margins"][-HELDOUT:])
    assert len(published(heldout=10).evaluation.train_masks) == 10
    assert len(models.train_masks) == MODELS
    assert len(published(heldout=0).fitting.train_masks) == MODELS
    for options, split in (
        ({"heldout": 300}, "fitting"),
        ({"heldout": 260}, "fitting"),
        ({"heldout": 0}, "evaluation"),
    ):
        with pytest.raises(InputError, match=r"260 models, .* of them for evaluation alone"):
            getattr(published(**options), split).train_masks  # noqa: B018
    assert copy.copy(models).kinds == models.kinds


def test_what_costs_too_much_is_refused_before_anything_is_read(published, mirror):
    models = published(max_cost=1e-6)
    with pytest.raises(
        InputError, match=r"reading 6\.24 kB of toy/data/train_masks_50pct\.npy takes .* passes the limit"
    ):
        models.train_masks[:]
    assert mirror.source.asked == []
    with pytest.raises(InputError, match="passes the limit"):
        np.asarray(models.train_masks)
    assert published(max_cost=None).train_masks[:].shape == (MODELS, UNITS)


def test_indices_that_cannot_be_are_one_sentence():
    part = remote(np.zeros((5, 4)))
    with pytest.raises(IndexError, match="index 5 is beyond axis 0, which has 5"):
        part[5]
    for key, said in (
        ((0, 0, 0), "2 axes, not 3"),
        (None, "no new axes"),
        (([1], [2]), "one axis at a time"),
        ("name", "takes a number"),
        ([0.5], "takes a number"),
        ([True, False], "5 bools"),
    ):
        with pytest.raises(InputError, match=said):
            part[key]
    with pytest.raises(ValueError, match="without a copy"):
        np.array(part, copy=False)


def test_names_that_are_not_there(published, mirror):
    with pytest.raises(AttributeError, match="has no 'train_logits'"):
        published().train_logits  # noqa: B018
    with pytest.raises(InputError, match=r"only at 0\.5"):
        public.open("toy", 0.2, catalogue_file=mirror.catalogue, address=mirror.source)
    assert published().kinds == ("train_masks", "test_margins", "train_margins", "test_logits")


def test_a_file_that_is_not_there(published, mirror: Mirror):
    obstore.delete(mirror.store, key_of("test_logits"))
    with pytest.raises(InputError, match=rf"there is no {ADDRESS}/{key_of('test_logits')}"):
        published().test_logits  # noqa: B018


def test_a_folder_in_place_of_a_bucket_costs_nothing(folder, mirror):
    models = public.open("toy", 0.5, catalogue_file=mirror.catalogue)
    for kind, array in mirror.arrays.items():
        assert np.array_equal(models.array(kind)[::7], array[::7])
    assert models.spent == 0
    other = public.open("toy", 0.5, catalogue_file=mirror.catalogue, address=str(folder), max_cost=0.0)
    assert np.array_equal(other.train_masks[5], mirror.arrays["train_masks"][5])
    with pytest.raises(InputError, match="there is no folder"):
        public.open("toy", 0.5, catalogue_file=mirror.catalogue, address=str(folder / "none"))


def test_many_threads_read_at_once(published, mirror):
    from concurrent.futures import ThreadPoolExecutor

    models = published()
    wanted = mirror.arrays["train_margins"]
    with ThreadPoolExecutor(8) as pool:
        spans = [(a % 200, a % 200 + 60) for a in range(0, 400, 13)]
        for (a, b), found in zip(spans, pool.map(lambda s: models.train_margins[s[0] : s[1]], spans), strict=True):
            assert np.array_equal(found, wanted[a:b])


def test_an_answer_that_breaks_off_goes_on_where_it_stopped(monkeypatch):
    array = np.arange(50_000, dtype=np.float32).reshape(50, 1000)
    part = remote(array)
    get, cuts = obstore.get, itertools.count()
    asked = []

    class Broken:
        def __init__(self, found):
            self.meta, self.range, self.found = found.meta, found.range, found

        def stream(self, min_chunk_size):
            data = bytes(self.found.bytes())
            yield data[: max(1, len(data) // 3)]
            if next(cuts) > 2:
                yield data[max(1, len(data) // 3) :]

    def broken(store, key, *, options=None):
        asked.append(options["range"])
        return Broken(get(store, key, options=options))

    monkeypatch.setattr(obstore, "get", broken)
    assert np.array_equal(part[:], array)
    starts = [start for start, _ in asked]
    assert starts == sorted(set(starts)), "nothing is asked for twice"
    assert len(starts) == 4


def test_a_pass_over_a_file_is_not_kept(published, mirror, monkeypatch, tmp_path):
    monkeypatch.setattr("subtrain.public.remote.arrays._KEPT_BYTES", 1000)
    models = published()
    assert np.array_equal(models.train_masks[:], mirror.arrays["train_masks"])
    assert list((tmp_path / "cache").rglob("*-*")) == []
    models.train_masks[:10]
    assert len(list((tmp_path / "cache").rglob("*-*"))) == 1
