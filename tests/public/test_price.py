"""Prices by hand, the choice between ways to read, and limits that hold."""

import numpy as np
import pytest

from subtrain.errors import InputError
from subtrain.public.price import FREE, GIB, PIECE, Network, Purse, Rates, dollars, price, whole_price
from subtrain.public.remote.byte_ranges import Runs, choose, runs_of
from subtrain.public.remote.npy_header import Header

RATES, NETWORK = Rates(), Network(bandwidth=1e7, latency=0.1, parallel=10)


def test_a_price_by_hand():
    found = price(2 * GIB, 1000, RATES, NETWORK, lists=100)
    assert found.dollars == pytest.approx(0.18 + 1000 * 4e-7 + 100 * 5e-6)
    assert found.seconds == pytest.approx(2 * GIB / 1e7 + 0.1)
    assert price(10, 1000, RATES, NETWORK).seconds == pytest.approx(10.1), "so many requests, ten at a time"
    assert price(0, 1, RATES).dollars == 4e-7, "HEAD costs what GET does"
    assert price(GIB, 5, FREE).dollars == 0


def test_all_but_logits_cost_what_the_readme_says():
    from subtrain.public.catalogue import read_catalogue

    files = [file for file in read_catalogue().find() if "logits" not in file.kind]
    assert sum(whole_price(file.size, RATES).dollars for file in files) == pytest.approx(53, abs=1.5)


def test_a_purse_refuses_before_anything_is_spent():
    purse = Purse(1.0)
    purse.pay(price(5 * GIB, 1, RATES), "a")
    with pytest.raises(InputError, match=r"b takes 7\.52 GB in 1 request: \$0\.63, .* beside the \$0\.45 before it"):
        purse.pay(price(7 * GIB, 1, RATES), "b")
    assert purse.spent == pytest.approx(0.45)
    Purse(None).pay(price(10**15, 1, RATES), "whatever")
    Purse(0.0).pay(price(10**15, 1, FREE), "free")


def test_a_check_spends_nothing():
    purse = Purse(1.0)
    for _ in range(3):
        purse.check(price(10 * GIB, 1, RATES), "a")
    assert purse.spent == 0


def test_a_block_of_rows_is_one_piece_and_of_columns_one_a_row():
    header = Header((1000, 500), np.dtype("float16"), False, 128)
    every = np.arange(1000), np.arange(500)
    rows = runs_of(header, [np.arange(100, 200), every[1]])
    assert rows.starts.tolist() == [128 + 100 * 1000]
    assert rows.stops.tolist() == [128 + 200 * 1000]
    columns = runs_of(header, [every[0], np.arange(20, 30)])
    assert len(columns.starts) == 1000
    assert (columns.stops - columns.starts == 20).all()
    turned = Header((1000, 500), np.dtype("float16"), True, 128)
    assert len(runs_of(turned, [every[0], np.arange(20, 30)]).starts) == 1
    assert len(runs_of(turned, [np.arange(100, 200), every[1]]).starts) == 500


def test_requests_of_a_long_run_are_cut():
    runs = Runs(np.array([0, 5 * PIECE]), np.array([2 * PIECE + 1, 5 * PIECE + 3]))
    assert runs.requests == len(runs.pieces().starts) == 4
    assert runs.pieces().bytes == runs.bytes
    assert (runs.pieces().stops - runs.pieces().starts <= PIECE).all()


def strips(count: int, width: int, row: int) -> Runs:
    starts = np.arange(count, dtype=np.int64) * row
    return Runs(starts, starts + width)


def test_small_gaps_are_read_along_and_wide_ones_are_not():
    narrow = choose(strips(10_000, 100, 1000), 10_000_000, RATES, NETWORK)
    assert len(narrow.taken.runs.starts) == 1
    assert "because each request takes time and money" in narrow.words
    wide = choose(strips(1000, 100, 10**7), 10**10, RATES, NETWORK)
    assert wide.taken.name == "exact"
    assert "1,000 pieces of 100 B" in wide.words
    assert "the whole file is 10 GB" in wide.words


def test_the_cheaper_way_is_taken_and_an_hour_has_a_price():
    runs, total = strips(300_000, 200, 20_000), 6_000_000_000
    patient = choose(runs, total, RATES, NETWORK, hour=0.0)
    hurried = choose(runs, total, RATES, NETWORK, hour=100.0)
    assert patient.taken.price.dollars == min(way.price.dollars for way in patient.ways)
    assert hurried.taken.price.seconds == min(way.price.seconds for way in hurried.ways)
    assert hurried.taken.price.dollars > patient.taken.price.dollars
    free = choose(runs, total, FREE, NETWORK)
    assert free.taken.price.seconds == min(way.price.seconds for way in free.ways)


def test_amounts_as_a_person_reads_them():
    assert [dollars(x) for x in (0, 1e-7, 0.014, 1234.5)] == ["free", "under $0.01", "$0.01", "$1,234.50"]
    with pytest.raises(InputError, match="positive bandwidth"):
        Network(bandwidth=0)
