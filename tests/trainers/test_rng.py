"""The generator: against published numbers, against a plain implementation, and by its statistics."""

import numpy as np
import pytest
from scipy import stats

from subtrain.trainers.kit import rng

M64 = 2**64 - 1


def rotated(x, k):
    return (x << k | x >> (64 - k)) & M64


def splitmix(z):
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & M64
    z = (z ^ z >> 27) * 0x94D049BB133111EB & M64
    return z ^ z >> 31


class Plain:
    """xoshiro256++ in Python's integers."""

    def __init__(self, seed, stream):
        z = splitmix((seed + 0x9E3779B97F4A7C15) & M64) ^ stream
        self.s = [splitmix((z + k * 0x9E3779B97F4A7C15) & M64) for k in (1, 2, 3, 4)]

    def bits(self):
        s = self.s
        result = (rotated((s[0] + s[3]) & M64, 23) + s[0]) & M64
        t = s[1] << 17 & M64
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = rotated(s[3], 45)
        return result

    def below(self, n):
        while True:
            product = (self.bits() >> 32) * n
            if product % 2**32 >= 2**32 % n:
                return product >> 32


def test_splitmix64_gives_its_published_numbers():
    state = 1234567
    golden = 0x9E3779B97F4A7C15
    outputs = [int(rng.mixed(np.uint64((state + k * golden) & M64))) for k in (1, 2, 3)]
    assert outputs == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_xoshiro256pp_gives_its_published_numbers():
    state = np.array([1, 2, 3, 4], np.uint64)
    outputs = [int(rng.bits(state)) for _ in range(6)]
    assert outputs == [41943041, 58720359, 3588806011781223, 3591011842654386, 9228616714210784205, 9973669472204895162]


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1, 2**64 - 1])
def test_shuffles_are_those_of_a_plain_implementation(seed):
    plain, row, expected = Plain(seed, 1), list(range(10, 47)), []
    for _ in range(3):
        for i in range(len(row) - 1, 0, -1):
            j = plain.below(i + 1)
            row[i], row[j] = row[j], row[i]
        expected.append(list(row))
    assert rng.shuffled(np.arange(10, 47, dtype=np.int32), 3, np.uint64(seed)).tolist() == expected


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1, 2**64 - 1])
def test_keyed_orders_are_those_of_a_plain_implementation(seed):
    plain, items, expected = Plain(seed, 1), list(range(10, 47)), []
    for _ in range(3):
        state = plain.bits()
        expected.append(sorted(items, key=lambda item: splitmix((state + item * 0x9E3779B97F4A7C15) & M64)))
    assert rng.keyed(np.arange(10, 47, dtype=np.int32), 3, np.uint64(seed)).tolist() == expected


@pytest.mark.parametrize("size", [1, 2, 30, 700])
def test_two_items_have_the_same_keyed_order_whichever_others_are_there(size):
    random, everything = np.random.default_rng(size), np.arange(1000, dtype=np.int32)
    whole = rng.keyed(everything, 5, np.uint64(3))
    some = random.permutation(everything)[:size]
    for order, part in zip(whole, rng.keyed(some, 5, np.uint64(3)), strict=True):
        assert part.tolist() == order[np.isin(order, some)].tolist()
    assert not np.array_equal(whole[0], whole[1])
    assert not np.array_equal(whole[0], rng.keyed(everything, 1, np.uint64(4))[0])


def test_initial_weights_are_those_of_a_plain_implementation():
    sizes = np.array([9, 5, 3])
    plain = Plain(11, 0)
    draws = np.array([(plain.bits() >> 40) * 2.0**-23 - 1 for _ in range(10 * 5 + 6 * 3)], np.float32)
    bounds = np.repeat(np.array([1 / np.sqrt(9), 1 / np.sqrt(5)], np.float32), [10 * 5, 6 * 3])
    assert np.array_equal(rng.uniform_layers(sizes[:-1], sizes[1:], np.uint64(11)), draws * bounds)


@pytest.mark.parametrize("n", [1, 3, 10, 1000, 3 * 2**30])
def test_whole_numbers_are_uniform_below_n(n):
    state = rng.generator(np.uint64(n), np.uint64(5))
    drawn = np.array([rng.below(state, n) for _ in range(20000)])
    assert drawn.min() >= 0
    assert drawn.max() < n
    counts = np.histogram(drawn, bins=min(n, 50), range=(0, n))[0]
    assert n == 1 or stats.chisquare(counts).pvalue > 1e-4


def test_draws_that_would_favour_some_numbers_are_rejected():
    # 3 * 2**30 divides 2**32 with remainder 2**30: without rejection every third number comes twice as often.
    n = 3 * 2**30
    state = rng.generator(np.uint64(3), np.uint64(5))
    drawn = np.array([rng.below(state, n) for _ in range(6000)])
    assert stats.chisquare(np.bincount(drawn % 3, minlength=3)).pvalue > 1e-4


@pytest.mark.parametrize("shuffle", [rng.shuffled, rng.keyed])
def test_shuffles_are_permutations_and_every_item_meets_every_position_equally(shuffle):
    items, times = np.arange(12, dtype=np.int32), 6000
    orders = shuffle(items, times, np.uint64(1))
    assert orders.dtype == np.int32
    assert (np.sort(orders, axis=1) == items).all()
    counts = np.stack([np.bincount(orders[:, p], minlength=12) for p in range(12)])
    assert counts.min() > 0
    assert stats.chisquare(counts, axis=1).pvalue.min() > 1e-4
    pairs = np.bincount(orders[:-1, 0] * 12 + orders[1:, 0], minlength=144)
    assert stats.chisquare(pairs).pvalue > 1e-4


def test_initial_weights_are_uniform_within_the_bounds_of_their_layer():
    sizes = np.array([100, 400, 10])
    drawn = rng.uniform_layers(sizes[:-1], sizes[1:], np.uint64(3))
    first, second = drawn[: 101 * 400], drawn[101 * 400 :]
    assert second.size == 401 * 10
    assert drawn.dtype == np.float32
    for layer, inputs in ((first, 100), (second, 400)):
        scaled = layer.astype(float) * np.sqrt(inputs)
        assert stats.kstest(scaled, "uniform", args=(-1, 2)).pvalue > 1e-4
        assert abs(scaled).max() <= 1 + 1e-6


def test_seeds_and_streams_give_different_numbers():
    states = {tuple(rng.generator(np.uint64(seed), np.uint64(s)).tolist()) for seed in range(500) for s in range(2)}
    assert len(states) == 1000
    first = [rng.bits(rng.generator(np.uint64(seed), np.uint64(0))) for seed in range(4000)]
    ones = np.array([bin(int(v)).count("1") for v in first])
    assert abs(ones.mean() - 32) < 0.4
