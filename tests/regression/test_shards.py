"""Masks and outputs in any layout, in files and in parts: the same counts, bit for bit, or one clear refusal."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from subtrain.errors import InputError
from subtrain.masks import Masks, pack
from subtrain.regression import Lasso, MeanDifference, array_blocks, count, count_blocks, finite_models
from subtrain.regression.counting.shards import stack

M, N, T = 150, 21, 5
MASK_TYPES = (bool, np.uint8, ">i4", np.int64, np.float16, np.float32, ">f8")
OUTPUT_TYPES = (np.float16, ">f2", np.float32, ">f4", np.float64, ">f8")
LAYOUTS = ("c", "fortran", "strided", "backwards", "read-only", "npy", "fortran npy")


def world(m: int = M, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    # Values that float16 holds, so that every type says the same.
    masks = random.random((m, N)) < 0.4
    y = (masks[:, :3] @ np.full((3, T), 2.0) + 2 * random.normal(size=(m, T))).astype(np.float16)
    return masks, y.astype(np.float64)


def laid_out(array: np.ndarray, layout: str, folder, number=itertools.count()):
    if layout == "c":
        return np.ascontiguousarray(array)
    if layout == "fortran":
        return np.asfortranarray(array)
    if layout == "strided":
        wide = np.zeros((2 * len(array), 3 * array.shape[1]), array.dtype)
        wide[::2, 1::3] = array
        return wide[::2, 1::3]
    if layout == "backwards":
        return np.ascontiguousarray(array[::-1, ::-1])[::-1, ::-1]
    if layout == "read-only":
        array = array.copy()
        array.flags.writeable = False
        return array
    path = folder / f"{next(number)}.npy"
    np.save(path, np.asfortranarray(array) if "fortran" in layout else array)
    return path if next(number) % 2 else np.load(path, mmap_mode="r")


def assert_same_bits(got, want) -> None:
    for name in ("gram", "ones", "xty", "y_sum", "y_sq", "y_min", "y_max"):
        np.testing.assert_array_equal(getattr(got, name), getattr(want, name), err_msg=name)
        assert getattr(got, name).dtype == getattr(want, name).dtype
    assert got.m == want.m


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("arrays")


def parts(data, array, types, folder, packed=False):
    """The array as one part or as several, each of its own type and layout; some may be empty."""
    cuts = data.draw(st.lists(st.integers(0, len(array)), max_size=3))
    pieces = np.split(array, sorted(cuts))
    made = []
    for piece in pieces:
        if packed and data.draw(st.booleans()):
            made.append(pack(piece))
        else:
            piece = piece.astype(data.draw(st.sampled_from(types)))
            made.append(laid_out(piece, data.draw(st.sampled_from(LAYOUTS)), folder))
    return made if len(made) > 1 else made[0]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_layout_and_any_parts_count_the_same(data, folder):
    masks, y = world()
    want = count(masks, y)
    given_masks = parts(data, masks, MASK_TYPES, folder, packed=True)
    given_outputs = parts(data, y, OUTPUT_TYPES, folder)
    assert_same_bits(count(given_masks, given_outputs), want)
    rows = data.draw(st.sampled_from([1000, 64, 7]))
    assert_same_bits(count_blocks(array_blocks(given_masks, given_outputs, rows)), want)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_pairs_count_the_same(data, folder):
    masks, y = world()
    cuts = sorted(data.draw(st.lists(st.integers(0, M), max_size=3)))
    pairs = []
    for bits, some in zip(np.split(masks, cuts), np.split(y, cuts), strict=True):
        layouts = [data.draw(st.sampled_from(LAYOUTS)) for _ in range(2)]
        types = data.draw(st.sampled_from(MASK_TYPES)), data.draw(st.sampled_from(OUTPUT_TYPES))
        pairs.append(
            tuple(laid_out(a.astype(t), how, folder) for a, t, how in zip((bits, some), types, layouts, strict=True))
        )
    want = count(masks, y)
    assert_same_bits(count(pairs), want)
    assert_same_bits(count_blocks(pairs), want)
    assert_same_bits(count(*zip(*pairs, strict=True)), want)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("output_type", OUTPUT_TYPES)
def test_lasso_takes_them_all(layout, output_type, folder):
    masks, y = world()
    want = Lasso(lambdas=8, eps=0.01, seed=1).fit(masks, y.astype(np.dtype(output_type).newbyteorder("=")))
    some = laid_out(masks[:70], layout, folder), laid_out(masks[70:].astype(np.int8), layout, folder)
    outputs = laid_out(y.astype(output_type), layout, folder)
    for form in (laid_out(masks, layout, folder), list(some)):
        got = Lasso(lambdas=8, eps=0.01, seed=1).fit(form, outputs)
        np.testing.assert_array_equal(got.weight_, want.weight_)
        np.testing.assert_array_equal(got.validation_mse_, want.validation_mse_)
    np.testing.assert_array_equal(got.predict(list(some)), want.predict(masks))


def test_outputs_of_one_target_stay_flat_in_parts():
    masks, y = world()
    flat = y[:, 0]
    want = MeanDifference().fit(masks, flat).predict(masks)
    assert want.shape == (M,)
    cut = [masks[:50], masks[50:]], [flat[:50], flat[50:]]
    np.testing.assert_array_equal(MeanDifference().fit(*cut).predict(masks), want)
    assert_same_bits(count(*cut), count(masks, flat))
    # Rows in a list are one array, as numpy has it, unless they stand beside as many parts of masks.
    assert_same_bits(count(list(masks), list(y)), count(masks, y))
    assert_same_bits(count(masks.tolist(), y.tolist()), count(masks, y))


def test_parts_longer_than_a_block_are_cut_as_one_array_is():
    masks, y = world(20_000)
    y = y + np.random.default_rng(1).normal(size=y.shape)
    want = count(masks, y)
    assert_same_bits(count([masks[:9000], masks[9000:9001], masks[9001:]], [y[:3], y[3:]]), want)
    assert [len(part) for part, _ in array_blocks([masks[:9000], masks[9000:]], y)] == [8192, 8192, 3616]


def test_no_models_at_all(folder):
    np.save(folder / "none.npy", np.zeros((0, N), bool))
    np.save(folder / "no_outputs.npy", np.zeros((0, T), np.float16))
    empty = count(folder / "none.npy", folder / "no_outputs.npy")
    assert (empty.m, empty.n, empty.targets) == (0, N, T)
    masks, y = world()
    assert_same_bits(count([folder / "none.npy", masks], [y, folder / "no_outputs.npy"]), count(masks, y))
    with pytest.raises(ValueError, match=r"0 sample|no models"):
        Lasso().fit(folder / "none.npy", folder / "no_outputs.npy")


def test_models_that_are_not_finite_are_named_or_dropped(folder):
    masks, y = world()
    y[[3, 77], [1, 2]] = np.inf, np.nan
    y[149] = np.nan
    good = np.isfinite(y).all(axis=1)
    want = count(masks[good], y[good])
    np.save(folder / "y.npy", y.astype(">f4"))
    for outputs in (y, [y[:60], y[60:]], folder / "y.npy"):
        with pytest.raises(InputError, match="target 1 is inf in the model at position 3 "):
            count(masks, outputs)
        assert_same_bits(count(masks, outputs, drop_nonfinite=True), want)
        assert_same_bits(count(*finite_models(masks, outputs)), want)
    with pytest.raises(InputError, match=r"target 2 is nan in the model at position 76 .*finite_models"):
        count([masks[:3], masks[4:]], [y[:3], y[4:]])
    with pytest.raises(InputError, match="each of the 1 models"):
        finite_models(masks[3:4], y[3:4])


def test_what_is_no_model_is_refused_by_name(folder):
    masks, y = world()
    numbers = masks.astype(np.float32)
    numbers[100, 3] = np.nan
    (folder / "text.npy").write_text("no numbers")
    for wrong, match in (
        (lambda: count([masks, masks[:, :9]], [y, y]), "part 1 has masks over 9 units, those before it have 21"),
        (lambda: count([masks, masks], [y, y[:, :2]]), "part 1 has outputs of 2 targets, those before it have 5"),
        (lambda: count([masks, masks], [y]), "300 masks but outputs of 150"),
        (lambda: count_blocks([(masks, y), (masks, y[:9])]), "150 masks but outputs of 9"),
        (lambda: count(numbers, y), "row 100, unit 3 is nan"),
        (lambda: count([masks, numbers[90:]], y), "row 10, unit 3 is nan"),
        (lambda: count(masks, y.astype(complex)), "float16, float32 or float64 numbers, got dtype complex128"),
        (lambda: count(masks, y.astype(np.longdouble)), "got dtype"),
        (lambda: count(masks.astype("U5"), y), "bool or 0/1 numbers"),
        (lambda: count(masks[0], y), "two-dimensional"),
        (lambda: count(masks, y[:, :, None]), "got shape"),
        (lambda: count(folder / "nothing.npy", y), "no file .*nothing.npy"),
        (lambda: count(masks, str(folder / "text.npy")), r"text\.npy is not a readable \.npy file"),
        (lambda: count([(masks, y), masks]), "give a list of pairs"),
        (lambda: count(masks), "give a list of pairs"),
        (lambda: count([]), "give a list of pairs"),
    ):
        with pytest.raises(InputError, match=match):
            wrong()


def test_a_stack_reads_any_rows():
    masks, y = world()
    models = stack([masks[:10], pack(masks[10:10]), pack(masks[10:90]), masks[90:]], [y[:89], y[89:]])
    assert len(models) == M
    for start, stop in ((0, M), (5, 95), (10, 10), (89, 90), (149, 150)):
        bits, some = models.read(start, stop)
        assert isinstance(bits, Masks)
        np.testing.assert_array_equal(bits.unpack(), masks[start:stop])
        np.testing.assert_array_equal(some, y[start:stop])
