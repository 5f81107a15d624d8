"""What notebooks show: small, escaped, with the figures in it."""

import numpy as np
import pytest

from subtrain import Datamodels
from subtrain.evaluation import score
from subtrain.system.notebook import html_table
from subtrain.uses.leakage import leakage

NASTY = "<script>alert(1)</script>"


def test_everything_is_escaped():
    html = html_table(NASTY, {NASTY: [NASTY, 1]})
    assert "<script" not in html
    assert html.count("&lt;script&gt;") == 3


def test_long_tables_are_cut_and_say_so():
    html = html_table("", {"x": np.arange(1000) / 3})
    assert html.count("<tr>") == 11
    assert "the first 10 of 1,000 rows" in html
    assert "<td>0.3333</td>" in html


def test_what_does_not_exist_is_a_dash():
    assert "<td>–</td>" in html_table("", {"x": np.array([np.nan], np.float32)})


def test_datamodels_and_what_is_made_of_them():
    rng = np.random.default_rng(0)
    dm = Datamodels(rng.normal(size=(30, 4)).astype(np.float32), np.zeros(4), np.full(4, 0.5), {"output": NASTY})
    html = dm._repr_html_()
    assert "<td>units</td><td>30</td>" in html
    assert "<td>0.5</td>" in html
    assert "<script" not in html
    found = leakage(dm)
    assert repr(found).partition("(")[0] in found._repr_html_()
    assert html.count("<tr>") < 12


@pytest.mark.parametrize(("runs", "rows"), [(1, 1), (3, 2)])
def test_an_evaluation_stands_beside_its_ceiling(runs, rows):
    rng = np.random.default_rng(0)
    found = score(rng.normal(size=(5, 2)), rng.normal(size=(5, runs, 2)), bootstrap=10)
    html = found._repr_html_()
    assert html.count("<tr>") == rows + 1
    assert f"{found.lds}" in html
