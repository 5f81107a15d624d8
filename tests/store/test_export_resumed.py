"""Exports that are killed, run twice, or run out of disk: what is there is kept, and checked before it is trusted."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest

import worlds
from subtrain import Study
from subtrain.errors import CorruptError, InputError, StorageError
from subtrain.studies import export as export_module
from subtrain.studies.export import export
from subtrain.studies.imports.arrays import import_folder
from subtrain.studies.segments import npy_writer

FILES = ("train_masks_50pct.npy", "test_margins_50pct.npy", "train_margins_50pct.npy")

EXPORT = """
import os, sys
from subtrain import Study
from subtrain.studies import export as module
from subtrain.studies.segments import npy_writer
module._BLOCK_BYTES, npy_writer.CHECKPOINT_SECONDS = 50, 0.0
calls = 0
def watch(owner, name):
    real = getattr(owner, name)
    def step(*args, **kwargs):
        global calls
        calls += 1
        if calls == int(sys.argv[3]):
            os._exit(9)
        return real(*args, **kwargs)
    setattr(owner, name, step)
for name in ("fsync", "replace", "unlink"):
    watch(os, name)
def say(file, rows, total):
    print(file, rows, flush=True)
module.export(Study.open(sys.argv[1]), sys.argv[2], progress=say)
"""


@pytest.fixture
def study(make_study) -> Study:
    return make_study(task=worlds.linear(n=24), models=4, heldout=2, segment=2)


def killed_at(study: Study, out, step: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", EXPORT, str(study.path), str(out), str(step)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def contents(out) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((out / "study" / "data").iterdir())}


@pytest.mark.slow
def test_killed_at_every_step_it_goes_on_and_ends_the_same(study, tmp_path):
    """One folder, killed one step later each time: every run goes on where the last one stopped, none starts anew."""
    export(study, tmp_path / "right")
    right, out, said = contents(tmp_path / "right"), tmp_path / "out", []
    for step in range(3, 60):
        done = killed_at(study, out, step)
        said.append(done.stdout.splitlines())
        for name, data in contents(out).items():
            assert name.startswith(".") or data == right[name], "what has its name is whole"
        if done.returncode == 0:
            break
        assert done.returncode == 9, done.stderr
    assert done.returncode == 0, "each run gets further"
    assert len(said) > 4, "it was really killed on the way"
    assert contents(out) == right
    first_rows = [int(lines[0].split()[1]) for lines in said[1:] if lines and FILES[0] in lines[0]]
    assert max(first_rows, default=0) > 2, "rows that were safe are not written again"


def test_what_is_left_of_a_killed_export_is_checked(study, tmp_path, monkeypatch):
    monkeypatch.setattr(export_module, "_BLOCK_BYTES", 50)
    monkeypatch.setattr(npy_writer, "CHECKPOINT_SECONDS", 0.0)
    export(study, tmp_path / "right")
    data = tmp_path / "out" / "study" / "data"
    for damage in (lambda raw: raw[:150], lambda raw: raw[:-1] + b"\7", lambda raw: b"", lambda raw: raw + b"more"):
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        with monkeypatch.context() as patch:
            patch.setattr(npy_writer.os, "replace", lambda *args, real=os.replace: _fail_on_part(real, *args))
            with pytest.raises(RuntimeError):
                export(study, tmp_path / "out")
        [part] = data.glob(".*.part")
        part.write_bytes(damage(part.read_bytes()))
        export(study, tmp_path / "out")
        assert contents(tmp_path / "out") == contents(tmp_path / "right")


def _fail_on_part(real, source, target):
    if str(source).endswith(".part"):
        raise RuntimeError("killed before the rename")
    return real(source, target)


def test_a_file_that_was_finished_is_not_written_again(study, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(type(study), "read", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            export(study, tmp_path / "out")
    masks = tmp_path / "out" / "study" / "data" / FILES[0]
    before = masks.stat()
    export(study, tmp_path / "out")
    assert masks.stat().st_ino == before.st_ino
    with monkeypatch.context() as patch:
        patch.setattr(type(study), "read", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            export(study, tmp_path / "out")
    whole = masks.read_bytes()
    masks.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    export(study, tmp_path / "out")
    assert masks.read_bytes() == whole, "it was checked, not trusted"


def test_a_longer_study_does_not_go_on_from_a_shorter_ones_files(study, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(type(study), "read", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            export(study, tmp_path / "out")
    longer = study.extend(models=2)
    longer.collect(workers=1, progress=False)
    export(longer, tmp_path / "out")
    export(longer, tmp_path / "right")
    assert contents(tmp_path / "out") == contents(tmp_path / "right")


def test_two_exports_to_one_place_do_not_mix(study, tmp_path):
    seen = []

    def meanwhile(file, rows, total):
        if not seen:
            seen.append(file)
            with pytest.raises(InputError, match="another process is writing"):
                export(study, tmp_path / "out")

    export(study, tmp_path / "out", progress=meanwhile)
    export(study, tmp_path / "right")
    assert contents(tmp_path / "out") == contents(tmp_path / "right")


def test_a_disk_too_small_is_known_before_anything_is_written(make_study, tiny_disk):
    study = make_study(task=worlds.linear(n=2000), models=100)
    with pytest.raises(StorageError, match=r"no space left on the disk of .*: [0-9.,]+ MB more are needed for"):
        export(study, tiny_disk)
    assert [p for p in tiny_disk.rglob("*") if p.is_file()] == []


def test_a_disk_that_fills_up_on_the_way(make_study, tiny_disk, monkeypatch):
    study = make_study(task=worlds.linear(n=2000), models=60, validation=0)
    monkeypatch.setattr(export_module.shutil, "disk_usage", lambda path: SimpleNamespace(free=1 << 40))
    monkeypatch.setattr(export_module, "_BLOCK_BYTES", 10_000)
    with pytest.raises(StorageError, match=r"no space left on the disk of .*train_margins_50pct\.npy"):
        export(study, tiny_disk)
    data = tiny_disk / "study" / "data"
    whole = [name for name in FILES[:2] for name in (name, f"{name}.sha256")]
    assert sorted(os.listdir(data)) == sorted([".export_50pct.json", *whole])
    back = import_folder(tiny_disk / "back", data)
    assert back.models == 66


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.EROFS])
def test_only_a_full_disk_costs_what_is_written_so_far(study, tmp_path, monkeypatch, code):
    monkeypatch.setattr(export_module, "_BLOCK_BYTES", 50)
    monkeypatch.setattr(npy_writer, "CHECKPOINT_SECONDS", 0.0)
    export(study, tmp_path / "right")
    safe, calls = npy_writer._safe, itertools.count()

    def failing(file):
        safe(file)
        if next(calls) == 2:
            raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(npy_writer, "_safe", failing)
        with pytest.raises(StorageError, match=r"no space left|cannot write .*: [A-Z]"):
            export(study, tmp_path / "out")
    full = code in (errno.ENOSPC, errno.EDQUOT)
    assert bool(list((tmp_path / "out" / "study" / "data").glob(".*.part"))) == (not full)
    said = []
    export(study, tmp_path / "out", progress=lambda file, rows, total: said.append(rows))
    assert (said[0] > 2) == (not full), "rows that were safe are not written again"
    assert contents(tmp_path / "out") == contents(tmp_path / "right")


def test_import_compares_files_with_the_sha256_beside_them(study, tmp_path):
    export(study, tmp_path / "out")
    seen = []
    import_folder(tmp_path / "a", tmp_path / "out" / "study", progress=lambda *say: seen.append(say))
    assert [name for name, done, size in seen if done == size] == [FILES[0], *sorted(FILES[1:])]
    path = tmp_path / "out" / "study" / "data" / FILES[1]
    raw = path.read_bytes()
    path.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    with pytest.raises(CorruptError, match=r"test_margins_50pct\.npy is not as test_margins_50pct\.npy\.sha256 says"):
        import_folder(tmp_path / "b", tmp_path / "out" / "study")
    assert not (tmp_path / "b").exists()
    assert import_folder(tmp_path / "b", tmp_path / "out" / "study", verify=False).models == study.models
