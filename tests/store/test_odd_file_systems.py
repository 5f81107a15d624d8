"""File systems without hard links, or without fsync of folders: what is done once is still done once, or refused."""

import errno
import os
import threading

import pytest

import worlds
from subtrain import Design, Study
from subtrain.errors import StorageError
from subtrain.store import atomic_files, rename_no_replace
from subtrain.store.folder import Folder


@pytest.fixture(params=[errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def no_links(request, monkeypatch):
    """As exFAT (EPERM) and some of FUSE (the others) answer."""

    def link(source, target):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(os, "link", link)


def test_of_many_who_create_one_wins_and_its_file_stays(no_links, tmp_path):
    won, start = [], threading.Barrier(8)

    def create(k):
        start.wait()
        for name in range(20):
            if atomic_files.commit_new(tmp_path / str(name), lambda file: file.write(b"%d" % k)):
                won.append((name, k))

    threads = [threading.Thread(target=create, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(name for name, _ in won) == list(range(20))
    assert all((tmp_path / str(name)).read_bytes() == b"%d" % k for name, k in won)
    assert len(list(tmp_path.iterdir())) == 20, "nothing half-written is left"


def test_a_study_there(no_links, tmp_path):
    study = Study.create(tmp_path / "r", worlds.linear(), Design(models=8, heldout=4), segment=4)
    study.collect(workers=1, progress=False)
    assert study.models_done() == study.models
    assert len(study.extend(4).segments) > len(study.segments)


def test_with_neither_links_nor_such_a_rename_a_study_is_refused_when_it_is_created(no_links, tmp_path, monkeypatch):
    monkeypatch.setattr(rename_no_replace, "_renameat2", lambda source, target: errno.EINVAL)
    with pytest.raises(StorageError, match="no hard links and no rename that never replaces a file"):
        Study.create(tmp_path / "r", worlds.linear(), Design(models=8, heldout=4))
    assert list((tmp_path / "r").iterdir()) == []
    Folder(tmp_path / "fit", links=True).prepare()


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def test_no_fsync(tmp_path, monkeypatch, code):
    def fsync(descriptor):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fsync)
    assert atomic_files.commit_new(tmp_path / "a", lambda file: file.write(b"1"))
    atomic_files.replace(tmp_path / "a", lambda file: file.write(b"2"))
    assert (tmp_path / "a").read_bytes() == b"2"


def test_an_fsync_that_fails_is_no_success(tmp_path, monkeypatch):
    def fsync(descriptor):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StorageError, match="Input/output error"):
        atomic_files.commit_new(tmp_path / "a", lambda file: file.write(b"1"))
    assert list(tmp_path.iterdir()) == []
