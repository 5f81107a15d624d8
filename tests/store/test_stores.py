"""Every store keeps the same promises: a folder, and a bucket over obstore's store in memory."""

from __future__ import annotations

import pytest

from conformance import CHECKS
from subtrain.errors import InputError
from subtrain.store.addresses import local_folder, open_store
from subtrain.store.bucket import Bucket
from subtrain.store.folder import Folder
from subtrain.store.protocol import Store


def memory() -> Bucket:
    from obstore.store import MemoryStore

    return Bucket(MemoryStore(), "s3://memory/study")


@pytest.fixture(params=["folder", "bucket"])
def store(request, tmp_path) -> Store:
    made = Folder(tmp_path / "study") if request.param == "folder" else memory()
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
    one, two = (local_folder(Bucket(memory().objects, f"s3://bucket/{name}")) for name in ("a/b", "a-b"))
    assert one.parent == two.parent == tmp_path / "cache"
    assert one != two
    assert one.name.startswith("bucket-a-b-")
