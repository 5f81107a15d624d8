"""Files made to exhaust or to confuse are refused in one sentence, with exit code 4, before they cost much."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from subtrain import Datamodels, Design, Study, load_fit
from subtrain.collection.engines.slurm.submitted_jobs import open_batches, parse_segments
from subtrain.errors import CorruptError, InputError
from subtrain.explorer.data.sidecar import open_sidecar
from subtrain.fits import save_fit
from subtrain.integrity import examine
from subtrain.store import atomic_files, protocol
from subtrain.store.folder import Folder
from subtrain.store.seal import sealed
from subtrain.studies.imports.arrays import import_arrays

BIG = 10**9


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    import worlds

    study = Study.create(
        tmp_path_factory.mktemp("hostile") / "s", worlds.linear(), Design(models=10, heldout=3), segment=4
    )
    save_fit(study, Datamodels(np.zeros((20, 3), np.float32), np.zeros(3), np.zeros(3), {"output": "test_margins"}))
    return study


@pytest.fixture
def manifest(study):
    """The text of study.json, which is put back."""
    path = study.path / "study.json"
    kept = path.read_bytes()
    yield path
    path.unlink(missing_ok=True)
    path.write_bytes(kept)


def put(data: dict, keys: tuple[str, ...], value: Any) -> dict:
    inner = data
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    return data


DESIGN = [
    (("design", "models"), BIG),
    (("design", "models"), -1),
    (("design", "models"), 3.5),
    (("design", "models"), True),
    (("design", "models"), "10"),
    (("design", "models"), 10**30),
    (("design", "heldout"), BIG),
    (("design", "replicates"), BIG),
    (("design", "replicates"), 0),
    (("design", "n"), BIG),
    (("design", "n"), 1),
    (("design", "n"), 2.0),
    (("design", "seed"), 2**64),
    (("design", "seed"), -1),
    (("design", "alpha"), 0),
    (("design", "alpha"), [0.5, 0.5]),
    (("design", "alpha"), "a" * 10**6),
    (("design", "kind"), "\x1b[2J"),
    (("design", "groups"), [0, 1, 2]),
    (("design", "groups"), [0, 5]),
    (("design", "groups"), [[0], [1]]),
    (("design", "groups"), [0, [1, 2]]),
    (("design", "groups"), {"a": 1}),
    (("design", "groups"), [0.5, 1.5]),
    (("design", "extensions"), [["fit", BIG, 1]]),
    (("design", "extensions"), [["fit", 1]]),
    (("design", "extensions"), 7),
    (("design", "other"), 7),
    (("design",), []),
    (("segment",), 0),
    (("segment",), -4),
    (("segment",), 1.5),
    (("segment",), True),
    (("segment",), "4"),
    (("outputs",), []),
    (("outputs", "test_margins"), {"shape": [BIG, BIG], "dtype": "float32", "meaning": ""}),
    (("outputs", "test_margins"), {"shape": [2.5], "dtype": "float32", "meaning": ""}),
    (("outputs", "test_margins"), {"shape": [-3], "dtype": "float32", "meaning": ""}),
    (("outputs", "test_margins"), {"shape": [3], "dtype": "O", "meaning": ""}),
    (("outputs", "test_margins"), {"shape": [3], "dtype": ["f4"], "meaning": ""}),
    (("outputs", "test_margins"), {"shape": [3], "dtype": "float32", "meaning": {}}),
    (("task",), None),
    (("task", "fingerprint"), 5),
    (("task", "source"), {"name": 5, "params": {}}),
    (("task", "source"), "digits"),
]


@pytest.mark.parametrize(("keys", "value"), DESIGN, ids=lambda value: str(value)[:30])
def test_a_manifest_with_a_wrong_value_is_damaged(study, manifest, keys, value):
    manifest.write_text(json.dumps(sealed(put(json.loads(manifest.read_text()), keys, value))))
    with pytest.raises(CorruptError) as caught:
        Study.open(study.path)
    assert str(manifest) in str(caught.value)
    assert len(str(caught.value)) < 1000


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


TEXTS: dict[str, Callable[[], bytes]] = {
    "an integer of five million digits": lambda: b'{"format": ' + b"9" * 5_000_000 + b"}",
    "nested": lambda: nested(100_000),
    "nested lists": lambda: b"[" * 100_000,
    "a key twice": lambda: b'{"format": 2, "format": 1}',
    "NaN": lambda: b'{"format": NaN}',
    "infinity": lambda: b'{"format": -Infinity}',
    "beyond float": lambda: b'{"format": 1e400}',
    "not UTF-8": lambda: b'{"format": "\xff\xfe"}',
    "half a character": lambda: b'{"format": "\\ud800"}',
    "millions of lists": lambda: b"[" + b"[]," * (protocol.JSON_PARTS + 1) + b"1]",
    "a number": lambda: b"7",
    "null": lambda: b"null",
    "empty": lambda: b"",
    "zeros": lambda: bytes(1000),
}


@pytest.mark.parametrize("name", TEXTS)
def test_json_that_is_no_json(study, manifest, name):
    manifest.write_bytes(TEXTS[name]())
    with pytest.raises(CorruptError, match=r"study\.json is damaged") as caught:
        Study.open(study.path)
    assert len(str(caught.value)) < 1000


def sparse(path: Path) -> None:
    path.unlink(missing_ok=True)
    with open(path, "wb") as file:
        file.truncate(20 << 30)


def pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def socketed(path: Path) -> None:
    path.unlink(missing_ok=True)
    here = Path.cwd()
    os.chdir(path.parent)  # the name of a socket must be short
    socket.socket(socket.AF_UNIX).bind(path.name)
    os.chdir(here)


READ = {
    "study.json": lambda study: Study.open(study.path),
    "extensions/000001.json": lambda study: Study.open(study.path),
    "fits/default/datamodels.json": load_fit,
    "fits/default/weight.npy": load_fit,
    "fits/default/bias.npy": load_fit,
    "segments/000000-000003.seg": lambda study: study.read("test_margins", range(4)),
}


@pytest.mark.parametrize("make", [sparse, pipe, socketed])
@pytest.mark.parametrize("name", READ)
def test_pipes_sockets_and_endless_files(make_study, name, make):
    study = make_study().extend(models=2)
    save_fit(study, Datamodels(np.zeros((20, 3), np.float32), np.zeros(3), np.zeros(3)))
    make(study.path / name)
    with pytest.raises(CorruptError, match=name.rpartition("/")[2].replace(".", r"\.")):
        READ[name](study)


def linked(path: Path) -> None:
    path.rename(path.with_name("other"))
    path.symlink_to("/dev/zero")


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("make", [pipe, linked, folder])
def test_what_lies_in_the_place_of_a_segment_is_not_taken_for_one(make_study, make):
    study = make_study()
    make(study.path / "segments" / "000000-000003.seg")
    with pytest.raises((CorruptError, InputError), match=r"000000-000003\.seg (is a|leads out)"):
        study.collect(workers=1, progress=False) if make is folder else study.read("test_margins")
    assert make is folder or any("000000-000003" in one for one in examine(study).damage)


def test_a_folder_in_the_place_of_a_file_is_one_sentence(study):
    (study.path / "report.html").mkdir()
    with pytest.raises(InputError, match=r"report\.html is a folder, not a file"):
        study.store.replace("report.html", lambda file: file.write(b""))
    (study.path / "report.html").rmdir()


def test_a_pipe_anywhere_is_read_by_nobody(tmp_path):
    os.mkfifo(tmp_path / "p.npy")
    store = Folder(tmp_path)
    for reading in (
        lambda: store.read("p.npy"),
        lambda: store.read_range("p.npy", 0, 9),
        lambda: atomic_files.read_json(tmp_path / "p.npy"),
        lambda: import_arrays(tmp_path / "s", tmp_path / "p.npy", {"a": tmp_path / "p.npy"}),
        lambda: import_arrays(tmp_path / "s", Path(os.devnull), {"a": tmp_path / "p.npy"}),
    ):
        with pytest.raises(CorruptError, match=r"is a (pipe|device), not a file"):
            reading()


def test_tables_of_absurd_shapes(make_study):
    study = make_study()
    save_fit(study, Datamodels(np.zeros((20, 3), np.float32), np.zeros(3), np.zeros(3), {"output": "test_margins"}))
    weight = study.path / "fits" / "default" / "weight.npy"
    (weight.parent / "datamodels.json").write_text("{}")
    for shape in ((BIG, BIG), (10**30, 1), (-1, 3), (20, 3, 1), (BIG,)):
        with open(weight, "wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            file.write(bytes(240))
        with pytest.raises(CorruptError, match="damaged"):
            Datamodels.load(weight.parent)


def test_a_sidecar_with_an_absurd_table_is_made_again(make_study):
    study = make_study()
    save_fit(study, Datamodels(np.ones((20, 3), np.float32), np.zeros(3), np.zeros(3), {"output": "test_margins"}))
    kept = open_sidecar(study, "default")[1]
    (table,) = (study.path / "fits" / "default" / "explorer").glob("tables-*.npz")
    sparse(table)
    assert examine(study).damage
    made = open_sidecar(study, "default")[1]
    assert {name: array.tobytes() for name, array in made.tables.items()} == {
        name: array.tobytes() for name, array in kept.tables.items()
    }


@pytest.mark.parametrize(
    "text",
    ["0:9999999999", "5", "0:4,7:9999999999", "9" * 5000, "0:" + "9" * 5000, "x", "-1", "١:٣", "\x1b[2J", "0:4\n\n"],
)
def test_a_list_of_slurm_that_names_what_is_not_there(make_study, text):
    study = make_study(done=False)
    assert len(study.segments) == 5
    folder = study.path / "slurm" / "000001-abcdef"
    folder.mkdir(parents=True)
    (folder / "segments.txt").write_text(f"{text}\n")
    with pytest.raises(CorruptError, match=r"segments\.txt is damaged"):
        open_batches(study)
    (folder / "segments.txt").unlink()
    os.mkfifo(folder / "segments.txt")
    with pytest.raises(CorruptError, match="is a pipe, not a file"):
        open_batches(study)


def test_segments_beyond_the_end_cost_nothing():
    assert parse_segments("3:9999999999", 5) == (3, 4, 5)
    assert parse_segments("7:9999999999", 5) == (7,)
    assert parse_segments("0:2,4", 5) == (0, 1, 4)
    with pytest.raises(InputError, match="more segments than any study has"):
        parse_segments("0:9999999999")
    with pytest.raises(InputError, match="segments are written A:B"):
        parse_segments("0:" + "9" * 5000, 5)


def test_numbers_without_end_are_refused_at_once(make_study):
    study = make_study(done=False)
    with pytest.raises(InputError, match="there is no segment"):
        study.collect(segments=range(10**12))


@pytest.mark.parametrize("options", [{"models": BIG}, {"heldout": BIG}, {"models": 3_000_000, "segment": 1}])
def test_no_such_study_is_made(make_study, tmp_path, options):
    with pytest.raises(InputError, match="are too many: a study has"):
        make_study(done=False, n=60, task=_wide(), **options)
    assert not (tmp_path / "study").exists()


def _wide():
    import worlds

    return worlds.linear(n=60)


def test_an_extension_without_end_is_refused_before_it_is_written(make_study):
    import worlds

    study = make_study(done=False, task=worlds.linear(n=60))
    with pytest.raises(InputError, match="are too many: a study has"):
        study.extend(models=BIG)
    assert Study.open(study.path).models == 16


# The peak that Linux keeps of this program alone: what getrusage says begins with that of the process that forked it.
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]), int(sys.argv[1])))
sys.argv = ["subtrain", *sys.argv[2:]]
from subtrain.cli.main import main
try:
    main()
finally:
    print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.parametrize("kind", ["models", "sparse", "digits"])
def test_the_command_line_says_so_with_4_in_little_memory(study, manifest, kind):
    if kind == "models":
        data = put(json.loads(manifest.read_text()), ("design", "models"), BIG)
        manifest.write_text(json.dumps(sealed(data)))
    elif kind == "sparse":
        sparse(manifest)
    else:
        manifest.write_bytes(TEXTS["an integer of five million digits"]())
    command = [sys.executable, "-c", LIMITED, str(4 << 30), "status", str(study.path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 4, done.stderr
    assert done.stderr.count("\n") == 1
    assert "study.json" in done.stderr
    assert int(done.stdout.split()[-1]) < 1 << 20  # KiB
