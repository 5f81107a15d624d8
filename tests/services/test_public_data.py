"""The published data in buckets of real servers whose reader pays: every feature, every fault, no credentials shown."""

from __future__ import annotations

import itertools
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from faulty import proxy
from s3 import Endpoint

import subtrain as st
from mirror import HELDOUT, came, catalogue_data, key_of, npy, toy_arrays
from subtrain import public
from subtrain.errors import CorruptError, InputError, MismatchError, StorageError, SubtrainError
from subtrain.public.remote.source import open_source
from subtrain.store import bucket as buckets

botocore = pytest.importorskip("botocore.exceptions", reason="tests/services/install.sh has not been run: no botocore")
numbers = itertools.count()
BIG = "toy/data/big_margins_50pct.npy"


@dataclass(frozen=True)
class Paying:
    """A bucket of `owner` whose reader pays, what lies in it, and its catalogue; the variables are `reader`'s."""

    owner: Endpoint
    reader: Endpoint
    bucket: str
    arrays: dict[str, np.ndarray]
    catalogue: Path

    def put(self, key: str, data: bytes) -> None:
        self.owner.client().put_object(Bucket=self.bucket, Key=key, Body=data)

    def open(self, **options) -> public.Published:
        return public.open("toy", 0.5, **{"catalogue_file": self.catalogue, "cache_bytes": 0} | options)


@pytest.fixture
def paying(server, lead, tmp_path) -> Paying:
    name = f"paying{next(numbers)}"
    reader = replace(server, key="READERKEY", secret="readersecret") if server.kind == "ceph" else server
    client = server.client()
    client.create_bucket(Bucket=name)
    everyone = {"Effect": "Allow", "Principal": {"AWS": ["*"]}, "Action": ["s3:GetObject", "s3:ListBucket"]}
    both = [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]
    policy = {"Version": "2012-10-17", "Statement": [{**everyone, "Resource": both}]}
    client.put_bucket_policy(Bucket=name, Policy=json.dumps(policy))
    client.put_bucket_request_payment(Bucket=name, RequestPaymentConfiguration={"Payer": "Requester"})
    data = catalogue_data(f"s3://{name}")
    big = np.random.default_rng(1).normal(size=(3000, 3000)).astype(np.float16)
    data["files"].append({**data["files"][1], "key": BIG, "kind": "big_margins", "shape": list(big.shape)})
    (tmp_path / "catalogue.json").write_text(json.dumps(data))
    made = Paying(server, reader, name, toy_arrays() | {"big_margins": big}, tmp_path / "catalogue.json")
    for kind, array in made.arrays.items():
        made.put(key_of(kind), npy(array))
    lead(reader)
    return made


def public_cli(*args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "subtrain", "public", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_without_saying_who_pays_everything_is_refused(paying):
    if paying.owner.kind != "ceph":
        pytest.skip("moto does not enforce that the reader pays")
    client, key = paying.reader.client(), key_of("train_masks")
    for act in (
        lambda **who: client.get_object(Bucket=paying.bucket, Key=key, **who),
        lambda **who: client.head_object(Bucket=paying.bucket, Key=key, **who),
        lambda **who: client.list_objects_v2(Bucket=paying.bucket, **who),
    ):
        with pytest.raises(botocore.ClientError, match=r"403|AccessDenied"):
            act()
        act(RequestPayer="requester")
    silent = open_source(f"s3://{paying.bucket}", pays=False)
    for ask in (lambda: silent.look(key), lambda: list(silent.entries("toy"))):
        with pytest.raises(StorageError, match="not allowed"):
            ask()


def test_slices_columns_fits_and_lists(paying):
    models = paying.open()
    for kind, array in paying.arrays.items():
        remote = models.array(kind)
        assert np.array_equal(remote[100:200], array[100:200])
        assert np.array_equal(remote[[7, 3, 3]], array[[7, 3, 3]])
        assert np.array_equal(remote[:50, 2:4], array[:50, 2:4])
    with pytest.warns(public.PriceWarning, match="3,000 pieces of 20 B"):
        found = paying.open(network=public.Network(latency=1e-6)).big_margins[:, 5:15]
    assert np.array_equal(found, paying.arrays["big_margins"][:, 5:15])
    dm = public.fit(paying.open(), estimator=st.Lasso(lambdas=20))
    masks, y = (paying.arrays[kind][:-HELDOUT] for kind in ("train_masks", "test_margins"))
    wanted = st.Lasso(lambdas=20).fit(masks, y)
    assert np.allclose(dm.weight, wanted.weight_, atol=1e-6)
    fitting = paying.open().fitting
    again = st.Lasso(lambdas=20).fit(fitting.train_masks, fitting.test_margins)
    assert np.array_equal(again.weight_, wanted.weight_)
    found = public.read_catalogue(paying.catalogue)
    listed = public.present(found, found.files)
    assert {key: size for key, size in listed.items() if size} == {
        key_of(kind): len(npy(array)) for kind, array in paying.arrays.items()
    }
    assert listed["toy/datamodels/train_50pct.pt"] is None


def test_the_command_line(paying, tmp_path):
    mine = ("--catalogue", paying.catalogue)
    shown = public_cli("show", key_of("train_masks"), "--rows", "3:5", "--json", *mine)
    assert json.loads(shown.stdout)["values"] == paying.arrays["train_masks"][3:5].tolist()
    assert json.loads(shown.stdout)["dollars"] > 0
    done = public_cli("download", tmp_path / "out", "-d", "toy", *mine)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("its ETag agrees") == len(paying.arrays)
    for kind, array in paying.arrays.items():
        assert (tmp_path / "out" / key_of(kind)).read_bytes() == npy(array)
    refused = public_cli("download", tmp_path / "other", BIG, "--max-cost", 0.0001, *mine)
    assert refused.returncode == 2
    assert "passes the limit" in refused.stderr
    assert not (tmp_path / "other").exists()


def test_an_etag_of_many_parts_is_compared_too(paying, tmp_path):
    client = paying.owner.client()
    data = npy(paying.arrays["big_margins"])
    upload = client.create_multipart_upload(Bucket=paying.bucket, Key=BIG)["UploadId"]
    parts = []
    for number, at in enumerate(range(0, len(data), 8 << 20), 1):
        piece = {"Bucket": paying.bucket, "Key": BIG, "UploadId": upload, "PartNumber": number}
        tag = client.upload_part(**piece, Body=data[at : at + (8 << 20)])["ETag"]
        parts.append({"PartNumber": number, "ETag": tag})
    whole = {"Bucket": paying.bucket, "Key": BIG, "UploadId": upload, "MultipartUpload": {"Parts": parts}}
    client.complete_multipart_upload(**whole)
    assert client.head_object(Bucket=paying.bucket, Key=BIG)["ETag"].strip('"').endswith("-3")
    [done] = public.download(tmp_path / "out", BIG, catalogue_file=paying.catalogue)
    assert done.by_tag
    assert done.path.read_bytes() == data


def test_killed_while_it_downloads_it_fetches_only_the_rest(paying, tmp_path):
    out = tmp_path / "out"
    args = ("download", out, BIG, "--catalogue", paying.catalogue)
    journal = (out / BIG).parent / ".big_margins_50pct.npy.journal"
    size, before = len(npy(paying.arrays["big_margins"])), 0
    for turn in range(1, 4):
        command = [sys.executable, "-m", "subtrain", "public", *map(str, args), "--limit-rate", "3"]
        runner = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while came(journal) < turn * size // 5:
            assert runner.poll() is None, runner.communicate()
            time.sleep(0.02)
        runner.send_signal(signal.SIGKILL)
        runner.communicate()
        assert came(journal) > before
        before = came(journal)
        assert not (out / BIG).exists()
    kept = came(journal)
    assert kept > size // 2
    [done] = public.download(out, BIG, catalogue_file=paying.catalogue)
    assert done.fetched == size - kept
    assert done.path.read_bytes() == npy(paying.arrays["big_margins"])
    assert sorted(path.name for path in done.path.parent.iterdir()) == [done.path.name, f"{done.path.name}.sha256"]


@pytest.fixture
def between(paying, lead, monkeypatch) -> Iterator:
    """A proxy before the bucket; the variables lead to it."""
    monkeypatch.setattr(buckets, "_TIMEOUTS", {"connect_timeout": "2s", "timeout": "2s"})
    with proxy(paying.owner) as made:
        lead(replace(made.endpoint, key=paying.reader.key, secret=paying.reader.secret))
        yield made


@pytest.mark.parametrize("fault", ["drop", "lose", "503", "500 after", "slow", "stall", "cut"])
def test_faults_on_the_way_change_nothing(paying, between, tmp_path, fault):
    between.delay = 3.0
    chance, share = random.Random(1), 0.1 if fault in ("slow", "stall") else 0.3
    between.plan = lambda method, path, n: fault if chance.random() < share else None
    models = paying.open()
    for kind, array in paying.arrays.items():
        assert np.array_equal(models.array(kind)[10:250], array[10:250])
    [done] = public.download(tmp_path / "out", BIG, catalogue_file=paying.catalogue)
    assert done.path.read_bytes() == npy(paying.arrays["big_margins"])
    assert done.by_tag
    assert between.done[fault] > 0


def test_a_byte_flipped_on_the_way_is_found(paying, between, tmp_path):
    models = paying.open()
    for kind in ("train_masks", "big_margins"):
        models.array(kind)
    between.plan = lambda method, path, n: "flip" if n else None
    with pytest.raises(CorruptError, match="neither true nor false"):
        models.train_masks[:]
    with pytest.raises(CorruptError, match="MD5"):
        public.download(tmp_path / "out", BIG, catalogue_file=paying.catalogue)
    assert not list((tmp_path / "out").rglob("*.npy"))


def test_what_is_replaced_cut_or_lies_is_never_served(paying, tmp_path):
    key, array = key_of("test_margins"), paying.arrays["test_margins"]
    models = paying.open()
    assert np.array_equal(models.test_margins[:5], array[:5])
    paying.put(key, npy(array + 1))
    with pytest.raises(CorruptError, match="has been replaced since it was opened"):
        models.test_margins[5:9]
    for data, error in (
        (npy(array)[:-2], CorruptError),
        (npy(array.astype("f4")), MismatchError),
        (npy(array).replace(b"(260, 5)", b"(520, 5)"), CorruptError),
        (npy(array.astype(object)), CorruptError),
        (b"PK\x03\x04" + bytes(5000), CorruptError),
    ):
        paying.put(key, data)
        with pytest.raises(error):
            paying.open().test_margins  # noqa: B018
        with pytest.raises(error):
            public.download(tmp_path / "out", key, catalogue_file=paying.catalogue)
    assert not list((tmp_path / "out").rglob("*.npy"))


def test_replaced_while_it_downloads(paying, between, tmp_path):
    other = npy(paying.arrays["big_margins"] + 1)

    def plan(method, path, n):
        if n == 1:
            paying.put(BIG, other)

    between.plan = plan
    with pytest.raises(CorruptError, match="has been replaced since it was opened"):
        public.download(tmp_path / "out", BIG, catalogue_file=paying.catalogue)
    between.plan = lambda method, path, n: None
    with pytest.raises(MismatchError, match="another version"):
        public.download(tmp_path / "out", BIG, catalogue_file=paying.catalogue)
    [done] = public.download(tmp_path / "out", BIG, catalogue_file=paying.catalogue, restart=True)
    assert done.path.read_bytes() == other


def test_a_server_that_stays_away_is_one_sentence(paying, between, tmp_path, monkeypatch):
    monkeypatch.setitem(buckets._RETRIES, "max_retries", 1)
    models = paying.open()
    models.train_masks  # noqa: B018
    for fault in ("drop", "503", "cut"):
        between.plan = lambda method, path, n, fault=fault: fault
        for act in (
            lambda: models.train_masks[:9],
            lambda: public.download(tmp_path / "out", BIG, catalogue_file=paying.catalogue),
        ):
            with pytest.raises(StorageError, match="cannot read s3://") as caught:
                act()
            assert "\n" not in str(caught.value)
    between.plan = lambda method, path, n: None
    [done] = public.download(tmp_path / "out", BIG, catalogue_file=paying.catalogue)
    assert done.path.read_bytes() == npy(paying.arrays["big_margins"])


def test_no_credentials_say_what_to_set(paying, monkeypatch, tmp_path):
    monkeypatch.setitem(buckets._RETRIES, "max_retries", 0)
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    with pytest.raises(InputError, match=r"its reader pays.*set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        paying.open()
    for name in ("AWS_SKIP_SIGNATURE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    # A machine without a role: nobody answers where an instance would ask for one.
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        StorageError, match=r"no credentials were found.*set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    ):
        paying.open().train_masks  # noqa: B018


def test_keys_of_a_profile(paying, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    keys = f"aws_access_key_id = {paying.reader.key}\naws_secret_access_key = {paying.reader.secret}\n"
    (tmp_path / "credentials").write_text(f"[mine]\n{keys}")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "mine")
    assert np.array_equal(paying.open().train_masks[5], paying.arrays["train_masks"][5])


def test_no_message_shows_a_secret(paying, lead, monkeypatch, tmp_path):
    """Whatever goes wrong: neither in what is raised, nor along its causes, nor in what the command prints."""
    secret, key, token = "S3CR3T" * 6, "AKIDSEEN", "T0KEN" * 8
    changes = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token}
    lead(paying.reader, **changes)
    monkeypatch.setitem(buckets._RETRIES, "max_retries", 0)
    said = []
    for address in (f"s3://{paying.bucket}", "s3://no-such-bucket"):
        for act in (
            lambda address=address: paying.open(address=address).train_masks[3],
            lambda address=address: list(open_source(address, True).entries("toy")),
            lambda address=address: public.download(
                tmp_path / "out", BIG, catalogue_file=paying.catalogue, address=address
            ),
        ):
            try:
                act()
            except SubtrainError as error:
                said += [str(error), repr(error), str(error.__cause__)]
    said += [repr(paying.open()), repr(open_source(f"s3://{paying.bucket}", True))]
    done = public_cli("show", BIG, "--check", "--catalogue", paying.catalogue)
    said += [done.stdout, done.stderr]
    if paying.owner.kind == "ceph":
        assert done.returncode == 6
        assert "credentials are wrong" in done.stderr
    for text in said:
        assert not any(hidden in text for hidden in (secret, key, token)), text
