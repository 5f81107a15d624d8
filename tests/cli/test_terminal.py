"""Nothing that a file says moves the cursor, colors the terminal or hides text: only letters reach it."""

from __future__ import annotations

import json
import re
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest

import worlds
from subtrain import Datamodels, Design, Study
from subtrain.cli.main import main
from subtrain.collection import train_segment
from subtrain.collection.workers.train_segment import record_failure
from subtrain.errors import CollectError, CorruptError, InputError
from subtrain.fits import save_fit
from subtrain.formatting import visible
from subtrain.store.seal import sealed
from subtrain.system.terminal import Terminal
from subtrain.tasks import View, batch

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\x7f\u202egnp.exe\u2066\x00\x08[link=file:///x]here[/link][/bold]"
BAD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def test_control_characters_become_visible_and_all_else_stays():
    assert visible("\x1b[2J") == r"\x1b[2J"
    assert visible("a\u202eb\x7f\x9b\ud800") == r"a\u202eb\x7f\x9b\ud800"
    for text in ("ä ö ü, 漢字, שלום, عربى, λ² ≤ 3", "two\nlines\tand a tab", "می\u200cخواهم", "👩\u200d🔬"):
        assert visible(text) == text
    assert not BAD.search(visible("".join(map(chr, range(0x3000)))))


def test_errors_show_them_in_python_too():
    for error in (InputError(EVIL), CorruptError(f"{EVIL} is damaged")):
        assert not BAD.search(str(error))
        assert "gnp.exe" in str(error)


@pytest.mark.parametrize("color", [None, "truecolor"])
def test_markup_of_others_is_text(color, capsys):
    from rich.table import Table

    terminal = Terminal()
    if color:
        terminal._force_terminal, terminal.legacy_windows = True, False
    table = Table(title=EVIL)
    table.add_column(EVIL)
    table.add_row(EVIL)
    for text in (EVIL, table, f"[bold]ours[/bold] {EVIL}", ":bomb: [x] [/x] [@click=x]y"):
        terminal.print(text)
    said = capsys.readouterr().out
    assert "\x1b]" not in said
    assert "\x1b[2J" not in said
    assert ":bomb: [x] [/x] [@click=x]y" in said
    assert color or not BAD.search(said)
    assert "ours" in said
    assert "[bold]ours" not in said or "[/bold]" in said


def resealed(path, name, change):
    """A sealed JSON file as somebody leaves it who knows how seals are made."""
    data = json.loads((path / name).read_text())
    change(data)
    (path / name).write_text(json.dumps(sealed(data)))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A study whose maker put control characters wherever a file has room for text."""
    path = tmp_path_factory.mktemp("hostile") / "study\x1b[31m"
    view = View(labels={"train": [EVIL, "b"] * 10, "test": [EVIL, "b", EVIL]}, texts={"train": [EVIL] * 20})
    world = worlds.linear(noise=0.5)
    outputs = {name: replace(spec, meaning=EVIL) for name, spec in world.outputs.items()}
    task = replace(world, view=view, outputs=outputs)
    study = Study.create(path, task, Design(models=60, heldout=8, replicates=2, seed=1), segment=15)
    (path / "segments").mkdir()
    for where in study.segments[1:]:
        train_segment(study, where)
    record_failure(study, study.segments[0], 3, 7, EVIL, EVIL)
    (path / "runners").mkdir()
    beat = {"state": "running", "host": EVIL, "pid": 1, "engine": EVIL, "slots": EVIL, "updated": "2999-01-01"}
    (path / "runners" / "x.json").write_text(json.dumps(beat))
    (path / "notes\x1b[31m").write_text("x")
    meta = {"output": "test_margins", "models": 30, "estimator": EVIL, "created": EVIL, "margin": EVIL, "notes": [EVIL]}
    weight = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    dm = Datamodels(weight, np.zeros(3), np.ones(3), meta)
    for name in ("default", "e\x1b[31mvil"):
        save_fit(study, dm, name)
    save_fit(study, Datamodels(weight @ weight.T, np.zeros(20), np.ones(20), {**meta, "output": "train_margins"}), "t")

    def rename(data):
        data["task"]["source"] = {"name": f"{EVIL}:{EVIL}", "params": {EVIL: EVIL}}
        data["versions"], data["created"] = {EVIL: EVIL}, EVIL

    resealed(path, "study.json", rename)
    return path


DONE = """
    status; status --check; status --json; evaluate; evaluate --json; neighbors --targets 0; report; value;
    clusters --k 2; embed; support --targets 0; leakage; counterfactual --targets 0; audit; select --keep 9;
    mislabeled; poison --fit t --size 3; compare SELF --fit-b e\x1b[31mvil; evaluate --fit e\x1b[31mvil; cancel;
    neighbors --targets 0 --json
"""
REFUSED = """
    evaluate --fit nothing; collect; worker --segments 0:2; fit --output \x1b[2J; budget --lds 0.9; explore --fit \x9b;
    import \x1b[2J \x1b[2J; check --task \x1b[2J:x; create x\x1b[2J --task digits --param \x1b[2J=1; nothing\x1b[2J;
    status --nothing\x1b[2J; compare SELF\x1b[2J; export out\x1b[2J
"""
VERBS = [(words.strip(), code) for verbs, code in ((DONE, 0), (REFUSED, 2)) for words in verbs.split(";")]
PLAIN = ("import", "check", "create", "nothing\x1b[2J")


@pytest.mark.parametrize(("words", "code"), VERBS, ids=ascii)
def test_no_verb_lets_them_through(hostile, tmp_path, monkeypatch, capsys, words, code):
    verb, *rest = words.split()
    given = [word.replace("SELF", str(hostile)) for word in rest]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["subtrain", verb, *([] if verb in PLAIN else [str(hostile)]), *given])
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with pytest.raises(SystemExit) as stop:
            main()
    said = "".join(capsys.readouterr())
    assert said
    assert not BAD.search(said), ascii(said)
    assert (stop.value.code or 0) == code, said


def test_no_file_that_is_damaged_does(hostile, tmp_path, monkeypatch, capsys):
    """Messages that quote what is in a file: names of keys, kinds, dtypes, formats."""

    wrong = [
        (("design", "kind"), EVIL),
        (("format",), EVIL),
        (("outputs",), {EVIL: {"shape": [3], EVIL: 1}}),
        (("design", EVIL), 3),
        (("outputs", "test_margins"), {"shape": [3], "dtype": EVIL, "meaning": ""}),
    ]
    for keys, value in wrong:
        path = tmp_path / "s"
        path.mkdir(exist_ok=True)
        data = json.loads((hostile / "study.json").read_text())
        inner = data
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value
        (path / "study.json").write_text(json.dumps(sealed(data)))
        monkeypatch.setattr(sys, "argv", ["subtrain", "status", str(path)])
        with pytest.raises(SystemExit) as stop:
            main()
        said = "".join(capsys.readouterr())
        assert stop.value.code in (2, 4)
        assert not BAD.search(said), ascii(said)


def failing(masks, seeds):
    raise ValueError(EVIL)


def test_what_training_code_raises_is_shown(tmp_path, monkeypatch, capsys):
    task = batch(failing, 20, {"test_margins": [3]}, size=4)
    study = Study.create(tmp_path / "s", task, Design(models=4, heldout=2), segment=4)
    with pytest.raises(CollectError) as caught:
        study.collect(workers=1)
    assert "gnp.exe" in str(caught.value)
    assert not BAD.search(str(caught.value))
    for words in (["status"], ["status", "--check"], ["evaluate"]):
        monkeypatch.setattr(sys, "argv", ["subtrain", words[0], str(study.path), *words[1:]])
        with pytest.raises(SystemExit):
            main()
    said = "".join(capsys.readouterr())
    assert "gnp.exe" in said
    assert not BAD.search(said), ascii(said)


def test_a_name_in_brackets_is_shown_as_it_is(tmp_path, monkeypatch, capsys):
    path = str(Study.create(tmp_path / "[link=x]a[/bold]:bomb:", worlds.linear(), Design(models=4, heldout=2)).path)
    monkeypatch.setattr(sys, "argv", ["subtrain", "status", path])
    with pytest.raises(SystemExit):
        main()
    assert path in capsys.readouterr().out.replace("\n", "")
