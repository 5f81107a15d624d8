"""Every store keeps the same promises: a folder, a bucket (of obstore, in memory), the memory of this process."""

from __future__ import annotations

import gc

import pytest

from subtrain.errors import InputError
from subtrain.store.addresses import local_folder, open_store
from subtrain.store.bucket import Bucket
from subtrain.store.folder import Folder
from subtrain.store.memory import Memory
from subtrain.store.protocol import Store
from subtrain.testing.stores import CHECKS


def bucket() -> Bucket:
    from obstore.store import MemoryStore

    return Bucket(MemoryStore(), "s3://memory/study")


KINDS = {
    "folder": lambda root: Folder(root / "study"),
    "bucket": lambda root: bucket(),
    "memory": lambda root: Memory(),
    "below a store in memory": lambda root: open_store(f"{KEPT.address}/{root.name}"),
}
KEPT = Memory()


@pytest.fixture(params=KINDS)
def store(request, tmp_path) -> Store:
    made: Store = KINDS[request.param](tmp_path)
    made.prepare()
    return made


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_conformance(store, check):
    check(store)


@pytest.mark.parametrize(
    "address", ["s3://", "s3://bucket", "s3://bucket/", "gs://bucket/x", "s3://b/../x", "http://h/x"]
)
def test_addresses_that_name_no_store(address, monkeypatch):
    with pytest.raises(InputError):
        open_store(address)


def test_a_bucket_over_plain_http_must_be_allowed(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.delenv("AWS_ALLOW_HTTP", raising=False)
    with pytest.raises(InputError, match=r"AWS_ENDPOINT_URL is http://127.0.0.1:1, without encryption: set AWS_ALLOW"):
        open_store("s3://bucket/x")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    assert open_store("s3://bucket/x/y/").address == "s3://bucket/x/y"


def test_what_stays_on_this_machine_has_a_place_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("SUBTRAIN_CACHE", str(tmp_path / "cache"))
    assert local_folder(Folder(tmp_path / "study")) == tmp_path / "study"
    one, two = (local_folder(Bucket(bucket().objects, f"s3://bucket/{name}")) for name in ("a/b", "a-b"))
    assert one.parent == two.parent == tmp_path / "cache"
    assert one != two
    assert one.name.startswith("bucket-a-b-")


def test_every_memory_is_its_own_and_goes_with_its_holder():
    one, other = open_store(":memory:"), open_store(":memory:")
    one.commit_new("a", lambda file: file.write(b"x"))
    assert other.names() == []
    assert open_store(one.address).read("a") == b"x"
    folder = local_folder(one)
    assert folder.is_dir()
    address = one.address
    del one
    gc.collect()
    assert not folder.exists()
    with pytest.raises(InputError, match="is not in the memory of this process: it is another's, or gone"):
        open_store(address)
