"""Whole files: the right bytes or none, whatever happens on the way; and what came once is not fetched again."""

import hashlib
import json
import zipfile

import numpy as np
import obstore
import pytest

from mirror import Watched, came, key_of, npy
from subtrain import public
from subtrain.errors import CorruptError, InputError, MismatchError, StorageError
from subtrain.public.catalogue import File
from subtrain.public.remote import downloads, file_check
from subtrain.public.remote.file_check import check_archive, check_whole
from subtrain.public.remote.parallel import Pace
from subtrain.studies.imports.arrays import import_folder

KEY = key_of("train_margins")


@pytest.fixture
def small(monkeypatch):
    """Requests and chunks so small that the toy has many of them."""
    monkeypatch.setattr(downloads, "PIECE", 1000)
    monkeypatch.setattr(downloads, "_CHUNK", 100)
    monkeypatch.setattr(downloads, "_LEAST", 100)


@pytest.fixture
def fetch(mirror, tmp_path, small):
    """fetch(*keys, **options): download from the mirror into a folder."""

    def run(*keys, **options):
        plan = {"catalogue_file": mirror.catalogue, "address": mirror.source} | options
        return public.download(tmp_path / "out", *(keys or (KEY,)), **plan)

    return run


class Killed(BaseException):
    """What ends a process, as far as one test can tell."""


def killed_after(monkeypatch, chunks: int) -> None:
    """After so many chunks in all, every stream ends as a killed process does: with nothing more done."""
    stream, left = Watched.stream, [chunks]

    def cut(self, *args):
        for data in stream(self, *args):
            for at in range(0, len(data), 100):
                if left[0] <= 0:
                    raise Killed
                left[0] -= 1
                yield data[at : at + 100]

    monkeypatch.setattr(Watched, "stream", cut)


def files(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_files_come_whole_with_their_sha256_and_are_a_study(fetch, mirror, tmp_path):
    keys = [key_of(kind) for kind in mirror.arrays]
    shown = []
    done = fetch(*keys, progress=lambda *what: shown.append(what))
    for one, (kind, array) in zip(done, mirror.arrays.items(), strict=True):
        data = npy(array)
        assert one.path.read_bytes() == data
        assert (one.size, one.fetched, one.sha256) == (len(data), len(data), hashlib.sha256(data).hexdigest())
        assert one.path.with_name(f"{one.path.name}.sha256").read_text() == f"{one.sha256}  {one.path.name}\n"
        assert {what for name, what, _, _ in shown if name == one.path.name} == {"fetching", "checking"}, kind
    assert len(files(tmp_path / "out")) == 2 * len(keys), "and nothing beside"
    study = import_folder(tmp_path / "study", tmp_path / "out" / "toy", heldout=60)
    assert np.array_equal(study.read("test_margins"), mirror.arrays["test_margins"])
    again = fetch(*keys)
    assert [one.fetched for one in again] == [0] * len(keys)


@pytest.mark.parametrize("chunks", [0, 1, 7, 60, 124])
def test_killed_it_goes_on_and_fetches_only_the_rest(fetch, mirror, tmp_path, monkeypatch, chunks):
    data = npy(mirror.arrays["train_margins"])
    with monkeypatch.context() as patch:
        killed_after(patch, chunks)
        with pytest.raises(Killed):
            fetch()
    assert not (tmp_path / "out" / KEY).exists()
    there = came((tmp_path / "out" / KEY).parent / ".train_margins_50pct.npy.journal")
    assert there > 0 or chunks < 20
    mirror.source.asked.clear()
    [done] = fetch()
    assert done.path.read_bytes() == data
    assert done.fetched == len(data) - there == mirror.source.bytes_asked()
    assert files(tmp_path / "out") == ["train_margins_50pct.npy", "train_margins_50pct.npy.sha256"]


def test_a_torn_journal_and_a_flipped_byte_on_disk_cost_only_their_chunks(fetch, mirror, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        killed_after(patch, 50)
        with pytest.raises(Killed):
            fetch()
    folder = (tmp_path / "out" / KEY).parent
    journal, part = (folder / f".train_margins_50pct.npy.{end}" for end in ("journal", "part"))
    lines = journal.read_bytes().rstrip(b"\n").split(b"\n")
    journal.write_bytes(b"\n".join(lines)[:-20])
    there = came(journal) + 100
    noted = json.loads(lines[5])
    raw = bytearray(part.read_bytes())
    raw[noted["at"] + 3] ^= 1
    part.write_bytes(raw)
    [done] = fetch()
    assert done.path.read_bytes() == npy(mirror.arrays["train_margins"])
    assert done.fetched == done.size - there + 200


def test_a_file_replaced_meanwhile_is_refused_and_restart_begins_again(fetch, mirror, monkeypatch):
    with monkeypatch.context() as patch:
        killed_after(patch, 30)
        with pytest.raises(Killed):
            fetch()
    other = npy(mirror.arrays["train_margins"] + 1)
    mirror.put("train_margins", other)
    with pytest.raises(MismatchError, match=r"of another version of the file.*--restart"):
        fetch()
    [done] = fetch(restart=True)
    assert done.path.read_bytes() == other
    assert done.fetched == len(other)


def test_a_file_replaced_while_it_comes_is_never_put_together(fetch, mirror, tmp_path, monkeypatch):
    stream, count = Watched.stream, iter(range(1000))

    def replacing(self, *args):
        if next(count) == 5:
            mirror.put("train_margins", npy(mirror.arrays["train_margins"] + 1))
        yield from stream(self, *args)

    monkeypatch.setattr(Watched, "stream", replacing)
    with pytest.raises(CorruptError, match="has been replaced since it was opened"):
        fetch(network=public.Network(parallel=1))
    assert not (tmp_path / "out" / KEY).exists()


def test_a_byte_flipped_on_the_way_is_found_by_the_etag(fetch, mirror, tmp_path, monkeypatch):
    data = npy(mirror.arrays["train_margins"])
    tag = f'"{hashlib.md5(data).hexdigest()}"'
    get = obstore.get

    class Tagged:
        def __init__(self, found):
            self.meta, self.range = found.meta | {"e_tag": tag}, found.range
            self.bytes, self.stream = found.bytes, found.stream

    def tagged(store, key, *, options=None):
        return Tagged(get(store, key, options={k: v for k, v in options.items() if k != "if_match"}))

    monkeypatch.setattr(obstore, "get", tagged)
    [done] = fetch()
    assert done.by_tag
    done.path.unlink()
    flipped = bytearray(data)
    flipped[5000] ^= 4
    mirror.put("train_margins", bytes(flipped))
    with pytest.raises(CorruptError, match="its MD5 is not that of the file in the bucket"):
        fetch()
    assert not done.path.exists()
    mirror.put("train_margins", data)
    [done] = fetch()
    assert done.path.read_bytes() == data


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (lambda array: npy(array)[:-2], CorruptError),
        (lambda array: npy(array.astype("f4")), MismatchError),
        (lambda array: npy(array[:-1]), MismatchError),
        (lambda array: npy(array).replace(b"(260, 24)", b"(520, 24)"), CorruptError),
        (lambda array: npy(array.astype(object)), CorruptError),
    ],
)
def test_what_is_not_as_published_is_not_fetched(fetch, mirror, tmp_path, damage, error):
    mirror.put("train_margins", damage(mirror.arrays["train_margins"]))
    with pytest.raises(error):
        fetch()
    assert mirror.source.asked == []
    assert files(tmp_path / "out") == []


def test_too_dear_together_is_refused_before_anything_is_asked_for(fetch, mirror, tmp_path, monkeypatch):
    def never(*args, **options):
        raise AssertionError("the bucket was asked")

    monkeypatch.setattr(obstore, "get", never)
    with pytest.raises(InputError, match=r"fetching toy/data/train_masks_50pct\.npy, toy/data/train_margins.* passes"):
        fetch(key_of("train_masks"), KEY, max_cost=2e-6)
    with pytest.raises(InputError, match="never there"):
        fetch("toy/datamodels/train_50pct.pt")
    assert not (tmp_path / "out").exists()


def test_no_room_on_the_disk_is_found_before_anything_is_fetched(fetch, mirror, monkeypatch):
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 10**6))
    with pytest.raises(StorageError, match=r"needs .* more on its disk, and 1 MB are free: nothing was fetched"):
        fetch()
    assert mirror.source.asked == []


def test_a_disk_that_fills_up_keeps_what_came(mirror, tiny_disk, small, monkeypatch):
    monkeypatch.setattr(downloads, "_SPARE", -(10**9))
    (tiny_disk / "filler").write_bytes(bytes(196_000))
    plan = {"catalogue_file": mirror.catalogue, "address": mirror.source}
    with pytest.raises(StorageError, match=r"no space left on the disk of .*; what came is kept"):
        public.download(tiny_disk / "out", KEY, **plan)
    (tiny_disk / "filler").unlink()
    [done] = public.download(tiny_disk / "out", KEY, **plan)
    assert done.path.read_bytes() == npy(mirror.arrays["train_margins"])


def test_two_at_once_on_one_file(fetch, tmp_path):
    from subtrain.studies.segments.npy_writer import locked, part_of

    path = tmp_path / "out" / KEY
    path.parent.mkdir(parents=True)
    with locked(part_of(path)), pytest.raises(InputError, match="another process is writing"):
        fetch()


def test_a_file_that_is_there_is_left_and_one_that_is_damaged_said(fetch, tmp_path):
    [done] = fetch()
    data = bytearray(done.path.read_bytes())
    data[-1] ^= 1
    done.path.write_bytes(data)
    with pytest.raises(CorruptError, match="is there already, but not as"):
        fetch()
    assert done.path.read_bytes() == data


def test_bandwidth_must_be_positive(fetch):
    with pytest.raises(InputError, match="bandwidth must be positive"):
        fetch(bandwidth=0)


def test_a_pace_makes_callers_wait_in_turn(monkeypatch):
    now, slept = [100.0], []
    monkeypatch.setattr("subtrain.public.remote.parallel.time.monotonic", lambda: now[0])
    monkeypatch.setattr("subtrain.public.remote.parallel.time.sleep", slept.append)
    pace = Pace(1000.0)
    for _ in range(3):
        pace.wait(500)
    now[0] = 200.0
    pace.wait(100)
    Pace(None).wait(10**12)
    assert slept == pytest.approx([0.5, 1.0, 1.5, 0.1])


def etag(data: bytes, part: int) -> str:
    sums = [hashlib.md5(data[at : at + part]).digest() for at in range(0, len(data), part)]
    return f'"{hashlib.md5(b"".join(sums)).hexdigest()}-{len(sums)}"'


@pytest.mark.parametrize("part", [100, 250, 3000])
def test_etags_of_several_parts(tmp_path, monkeypatch, part):
    """Parts of sizes that tools use, here a thousandth of a MiB."""
    array = np.arange(6000, dtype=np.float16).reshape(60, 100)
    path, data = tmp_path / "x.npy", npy(array)
    path.write_bytes(data)
    file = File("x.npy", "toy", "margins", 50, array.shape, "float16")
    monkeypatch.setattr(file_check, "_MIB", 1)
    monkeypatch.setattr(file_check, "_PARTS", (100, 250, 3000))
    monkeypatch.setattr(file_check, "_PIECE", 777)
    assert check_whole(path, file, etag(data, part), lambda count: None).by_tag
    assert not check_whole(path, file, etag(data[::-1], part), lambda count: None).by_tag, "says nothing"
    assert not check_whole(path, file, '"some-other-tag"', lambda count: None).by_tag


def test_archives_that_unpack_to_more_than_they_are_are_refused(tmp_path):
    path = tmp_path / "x.pt"
    for mode, size in ((zipfile.ZIP_STORED, 5000), (zipfile.ZIP_DEFLATED, 10**6)):
        with zipfile.ZipFile(path, "w", mode) as archive:
            archive.writestr("archive/data/0", bytes(size))
        if mode == zipfile.ZIP_STORED:
            check_archive(path, "x.pt")
        else:
            with pytest.raises(CorruptError, match="unpacks to 1,000,000 bytes, more than it has itself"):
                check_archive(path, "x.pt")
    data = bytearray(path.read_bytes())
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(CorruptError, match=r"is not a \.pt file"):
        check_archive(path, "x.pt")


def test_what_torch_writes_passes(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"weight": torch.zeros(20, 30), "bias": torch.zeros(30), "lam": torch.zeros(30)}, tmp_path / "x.pt")
    check_archive(tmp_path / "x.pt", "x.pt")
