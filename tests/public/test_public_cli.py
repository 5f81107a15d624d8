"""`subtrain public`: what it prints, what it exits with, and that it asks for nothing unasked."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from mirror import key_of, npy
from subtrain.cli.main import load
from subtrain.cli.shared.app import app
from subtrain.cli.verbs.public import span
from subtrain.errors import InputError, SubtrainError

load()


def cli(*args: object) -> str:
    done = CliRunner().invoke(app, ["public", *map(str, args)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_list_says_what_there_is_and_what_is_missing():
    said = json.loads(cli("list", "--json"))
    assert said["address"] == "s3://madrylab-datamodels"
    assert len(said["files"]) == 43
    assert len(json.loads(cli("list", "--json", "--missing"))["files"]) == 6
    [one] = json.loads(cli("list", "-d", "cifar", "-k", "train_masks", "-a", "0.5", "--json"))["files"]
    assert (one["shape"], one["dtype"], one["bytes"]) == ([310_000, 50_000], "bool", 15_500_000_128)
    text = cli("list", "-d", "fmow")
    assert "no 10 % models and no logits were published" in text
    assert "missing" in text


@pytest.mark.parametrize("words", [("all", "but", "logits"), ("all but logits",), ("all-but-logits",)])
def test_price_of_all_but_logits_beside_what_the_datas_page_says(words):
    said = cli("price", *words)
    assert "logits_" not in said
    total = float(re.search(r"In all \$([0-9.]+)", said)[1])
    assert total == pytest.approx(53, abs=1.5)
    assert "own page says around $53;" in said
    whole = cli("price", "all")
    assert float(re.search(r"In all \$([0-9.]+)", whole)[1]) == pytest.approx(374, abs=2)
    assert "own page says around $374;" in whole
    assert "own page" not in cli("price", "-d", "cifar", "-a", "0.5")
    done = CliRunner().invoke(app, ["public", "price", "all", "but", "mice"])
    assert "no file of the catalogue is of the kind 'mice'" in str(done.exception)


def test_cite_prints_both_entries():
    said = cli("cite")
    assert [line.partition("{")[0] for line in said.splitlines() if line.startswith("@")] == ["@inproceedings", "@misc"]
    assert said.count("{") == said.count("}")
    assert "2202.00622" in said


def test_list_compares_with_what_is_there(folder, mirror):
    mine = ("--catalogue", mirror.catalogue, "--check")
    (folder / key_of("train_masks")).unlink()
    (folder / key_of("test_margins")).write_bytes(b"short")
    (folder / "toy/datamodels").mkdir()
    there = {one["key"]: one["bytes_there"] for one in json.loads(cli("list", "--json", *mine))["files"]}
    assert there == {
        key_of("train_masks"): None,
        key_of("test_margins"): 5,
        key_of("train_margins"): len(npy(mirror.arrays["train_margins"])),
        key_of("test_logits"): len(npy(mirror.arrays["test_logits"])),
        "toy/datamodels/train_50pct.pt": None,
    }
    assert "yes, but" in cli("list", *mine)


def test_price_asks_for_nothing_and_explains():
    text = cli("price", "-d", "cifar", "-a", 0.5, "-k", "train_masks")
    assert "15.5 GB in 925 requests: $1.30, 20 min 40 s" in text
    assert "The bucket got no request." in text
    [offer] = json.loads(cli("price", "cifar/data/train_masks_50pct.npy", "--columns", "0:100", "--json"))
    assert offer["requests"] == 310_000
    assert "a request" in offer["text"] or "310,000 pieces of 100 B" in offer["text"]
    assert offer["choice"]["whole"]["dollars"] == pytest.approx(1.2996, abs=1e-3)
    slow = json.loads(cli("price", "cifar/data/train_masks_50pct.npy", "--bandwidth", 1, "--json"))
    assert slow[0]["seconds"] == pytest.approx(15_500, rel=0.01)


def test_download_show_and_list_of_a_folder(folder, mirror, tmp_path):
    key = key_of("test_margins")
    mine = ("--catalogue", mirror.catalogue)
    assert "4 files" in cli("list", *mine)
    shown = json.loads(cli("show", key, "--rows", "3:5", "--columns", "0:2", "--json", *mine))
    assert np.array_equal(np.float16(shown["values"]), mirror.arrays["test_margins"][3:5, :2])
    assert shown["found"] == "[260, 5] float16"
    said = cli("download", tmp_path / "out", "-d", "toy", "-k", "test_margins", *mine)
    assert re.search(r"2\.73 kB, 2\.73 kB fetched now, free; sha256 [0-9a-f]{12}", said.replace("\n", ""))
    assert (tmp_path / "out" / key).read_bytes() == npy(mirror.arrays["test_margins"])
    assert "there already" in cli("download", tmp_path / "out", key, *mine)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("price",), "name the files"),
        (("price", "-d", "fmow", "-a", 0.1), "no published file"),
        (("price", "cifar/datamodels/test_50pct.pt", "--rows", "0:5"), "only whole"),
        (("price", "cifar/data/test_margins_50pct.npy", "--rows", "a:b"), "are written 5, 100:200"),
        (("show", "cifar/datamodels/train_10pct.pt"), "not in the bucket"),
        (("show", "cifar/datamodels/test_50pct.pt", "--check"), "holds datamodels"),
        (("download", "out", "-d", "cifar", "-a", 0.5, "-k", "train_masks"), r"\$1\.30.*passes the limit of \$1\.00"),
        (("list", "--catalogue", "none.json"), "cannot read the catalogue"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(args, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SubtrainError, match=said) as caught:
        cli(*args)
    assert caught.value.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_anonymous_requests_and_profiles_that_are_not_there_say_what_to_set(tmp_path, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    key = "cifar/data/test_margins_50pct.npy"
    with pytest.raises(
        InputError, match=r"its reader pays.*set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PR"
    ):
        cli("show", key, "--check")
    monkeypatch.delenv("AWS_SKIP_SIGNATURE")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(InputError, match="AWS_PROFILE is nobody"):
        cli("show", key, "--check")


def test_spans():
    values = list(range(10))
    for text, wanted in (("5", [5]), ("2:4", [2, 3]), ("::4", [0, 4, 8]), ("-2:", [8, 9]), (":3", [0, 1, 2])):
        assert values[span(text)] == wanted
    for text in ("", "1:2:3:4", "x", "5:1:-1", "::0", "-"):
        with pytest.raises(InputError):
            span(text)


def test_the_verbs_start_without_anything_heavy():
    code = (
        "import sys; from subtrain.cli.main import main\n"
        "sys.argv = ['subtrain', 'public', 'price', '-d', 'cifar', '-a', '0.5']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(sorted({'numba', 'torch', 'sklearn', 'obstore', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.splitlines()[-1] == "[]"
