"""Servers and buckets for the service tests. Nothing is installed here: see install.sh."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import ceph
import pytest
import s3
from s3 import Endpoint

numbers = itertools.count()


# Files that take minutes begin first, one in each process; the others fill up what is left.
LONGEST = ("test_slurm.py", "test_ray.py", "test_buckets.py", "test_public_data.py", "test_two_mounts.py")


def pytest_collection_modifyitems(items) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.services)
    rank = {name: k for k, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(LONGEST)))


@pytest.fixture(scope="session", params=["moto", "ceph"])
def server(request, tmp_path_factory) -> Iterator[Endpoint]:
    """An S3-compatible server; every test that asks for one runs on each kind."""
    pytest.importorskip("boto3", reason="tests/services/install.sh has not been run: no boto3")
    here = tmp_path_factory.mktemp(request.param)
    if request.param == "moto":
        pytest.importorskip("moto", reason="tests/services/install.sh has not been run: no moto")
        with s3.moto(here) as started:
            yield started
        return
    if missing := ceph.missing():
        pytest.skip(f"tests/services/install.sh has not been run: no {', '.join(missing)}")
    with ceph.gateway(here) as started:
        yield started


@pytest.fixture
def lead(monkeypatch, tmp_path) -> Callable[..., None]:
    """lead(endpoint, **changes): set the AWS_* variables so that clients of this process and its children go there."""
    monkeypatch.setenv("SUBTRAIN_CACHE", str(tmp_path / "cache"))

    def to(endpoint: Endpoint, **changes: str) -> None:
        for name, value in endpoint.environment(**changes).items():
            monkeypatch.setenv(name, value)

    return to


@pytest.fixture
def bucket(server, lead) -> str:
    """The name of a new, empty bucket; the AWS_* variables lead to its server."""
    lead(server)
    name = f"bucket{next(numbers)}"
    server.client().create_bucket(Bucket=name)
    return name
