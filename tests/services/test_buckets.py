"""Buckets of real servers: the promises of a store, and what becomes of them when the network or the server fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import s3
from faulty import proxy
from gate import gate
from s3 import Endpoint, free_ports

import worlds
from subtrain import Design, Study
from subtrain.collection import train_segment
from subtrain.errors import StorageError
from subtrain.store import bucket as buckets
from subtrain.store.addresses import open_store
from subtrain.testing.stores import CHECKS, content


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_conformance(bucket, check):
    store = open_store(f"s3://{bucket}/some/study")
    store.prepare()
    check(store)


RACE = """
import sys, time
from subtrain.store.addresses import open_store
address, me, start = sys.argv[1:]
store = open_store(address)
time.sleep(max(0, float(start) - time.time()))
print("".join(str(int(store.commit_new(f"race/{k}", lambda file: file.write(me.encode() * 3000)))) for k in range(40)))
"""


def test_of_eight_processes_one_wins_each_file(bucket):
    address, start = f"s3://{bucket}/p", str(time.time() + 4)
    racers = [
        subprocess.Popen([sys.executable, "-c", RACE, address, me, start], stdout=subprocess.PIPE, text=True)
        for me in "abcdefgh"
    ]
    won = [racer.communicate()[0] for racer in racers]
    store = open_store(address)
    for k in range(40):
        [winner] = [me for me, wins in zip("abcdefgh", won, strict=True) if wins[k] == "1"]
        assert store.read(f"race/{k}") == winner.encode() * 3000


@pytest.mark.parametrize("fault", ["drop", "lose", "503", "500 after", "slow", "cut"])
def test_one_failure_of_every_request_costs_nothing(server, bucket, lead, fault):
    """Every request fails once; both of two racers must learn the truth about every file all the same."""
    with proxy(server) as between:
        between.delay = 0.3
        lead(between.endpoint)
        stores = [open_store(f"s3://{bucket}/p") for _ in range(2)]
        between.plan = lambda method, path, n: fault if n == 0 else None

        def race(me: int, name: str) -> bool:
            return stores[me].commit_new(name, content(str(me).encode() * 100_000))

        with ThreadPoolExecutor(2) as pool:
            for k in range(8):
                won = list(pool.map(race, (0, 1), (f"race/{k}",) * 2))
                assert won.count(True) == 1, (fault, won)
                assert stores[0].read(f"race/{k}") == str(won.index(True)).encode() * 100_000
        stores[0].replace("a", content(b"x" * 100_000))
        assert stores[1].read("a") == b"x" * 100_000
        assert stores[0].names() == sorted(["a", *(f"race/{k}" for k in range(8))])
        stores[0].clear("race")
        assert stores[0].names() == ["a"]
        assert between.done[fault] > 5


@pytest.fixture
def impatient(monkeypatch) -> None:
    """A store that does not answer is given up after two seconds, not a minute."""
    monkeypatch.setattr(buckets, "PATIENCE", 2.0)
    monkeypatch.setitem(buckets._RETRIES, "retry_timeout", timedelta(seconds=2))


def test_a_create_whose_reply_is_lost_for_good_is_still_ours(server, bucket, lead, impatient):
    with proxy(server) as between:
        lead(between.endpoint)
        store = open_store(f"s3://{bucket}/p")
        between.plan = lambda method, path, n: "lose" if method == "PUT" else None
        assert store.commit_new("a", content(b"ours"))
        between.plan = lambda method, path, n: None
        assert store.read("a") == b"ours"
        assert not store.commit_new("a", content(b"ours"))


def test_an_answer_that_never_comes_is_asked_for_again(server, bucket, lead, monkeypatch):
    monkeypatch.setattr(buckets, "_TIMEOUTS", {"connect_timeout": "1s", "timeout": "1s"})
    with proxy(server) as between:
        between.delay = 3.0
        lead(between.endpoint)
        store = open_store(f"s3://{bucket}/p")
        between.plan = lambda method, path, n: "slow" if n == 0 else None
        assert store.commit_new("a", content(b"ours"))
        assert store.read("a") == b"ours"


def test_a_server_that_is_away_for_a_while_costs_time_only(server, bucket, lead, monkeypatch):
    """Three seconds of refused connections, where ten are waited for: a read answers, and a collect ends whole."""
    monkeypatch.setattr(buckets, "PATIENCE", 10.0)
    monkeypatch.setitem(buckets._RETRIES, "retry_timeout", timedelta(seconds=10))
    with gate(server) as door:
        lead(door.endpoint)
        store = open_store(f"s3://{bucket}/p")
        store.replace("a", content(b"kept"))
        door.shut_for(3.0)
        assert store.read("a") == b"kept"
        study = Study.create(f"s3://{bucket}/s", worlds.linear(), Design(models=40, heldout=0), segment=4)
        door.shut_for(3.0, after=0.2)
        done = study.collect(workers=1, progress=False)
        assert (done.done, done.total) == (40, 40)
        assert door.shuts == 2


def test_what_is_refused_for_as_long_as_is_waited_for_is_given_up(server, bucket, lead, impatient):
    """Not before: two seconds have passed, and the sentence comes soon after."""
    with gate(server) as door:
        lead(door.endpoint)
        store = open_store(f"s3://{bucket}/p")
        store.replace("a", content(b"kept"))
        door.shut()
        acts = store.names, lambda: store.read("a"), lambda: store.commit_new("b", content(b"x"))
        for act in acts:
            began = time.monotonic()
            with pytest.raises(StorageError, match=r"does not answer as it should .* run the same again"):
                act()
            assert 1.5 < time.monotonic() - began < 20


def test_a_server_that_stays_away_is_one_sentence(server, bucket, lead, impatient):
    with proxy(server) as between:
        lead(between.endpoint)
        store = open_store(f"s3://{bucket}/p")
        store.replace("a", content(b"old"))
        for fault, said in (("drop", "error sending request"), ("503", "503 Service Unavailable")):
            between.plan = lambda method, path, n, fault=fault: fault
            acts = {
                "write": (
                    lambda: store.commit_new("b", content(b"x")),
                    lambda: store.replace("a", content(b"x")),
                ),
                "read": (lambda: store.read("a"), lambda: store.exists("a")),
                "list": (lambda: store.names(),),
                "delete": (lambda: store.delete("a"),),
            }
            for verb, some in acts.items():
                for act in some:
                    with pytest.raises(StorageError, match=f"cannot (read|{verb}) s3://.*{said}") as caught:
                        act()
                    assert "\n" not in str(caught.value)
                    assert "run the same again" in str(caught.value)
        between.plan = lambda method, path, n: None
        assert store.names() == ["a"]
        assert store.read("a") == b"old"


def cli(*args: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return run([sys.executable, "-m", "subtrain", *map(str, args)], **environment)


def run(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=200, env={**os.environ, **environment})


IMPATIENT = """
from datetime import timedelta
from subtrain.store import bucket
bucket.PATIENCE, bucket._RETRIES["retry_timeout"] = 2.0, timedelta(seconds=2)
from subtrain.cli.main import main
main()
"""


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 6, done.stderr
    assert done.stderr.startswith("Error: cannot ")
    assert done.stderr.count("\n") == 1, done.stderr
    for word in words:
        assert word in done.stderr


@pytest.fixture
def small(bucket) -> Study:
    """A study in a bucket, whose models are trained in this process."""
    study = Study.create(f"s3://{bucket}/small", worlds.linear(), Design(models=10, heldout=3, seed=1), segment=4)
    for where in study.segments:
        train_segment(study, where)
    return study


def test_wrong_credentials_are_one_sentence_at_the_command_line(server, small):
    address = small.location
    if server.kind == "ceph":
        refused(cli("status", address, AWS_SECRET_ACCESS_KEY="wrong"), address, "credentials are wrong")
        refused(cli("status", address, AWS_ACCESS_KEY_ID="NOBODY"), address, "credentials are wrong")
        refused(cli("create", f"{address}2", "-t", "digits", AWS_ACCESS_KEY_ID="NOBODY"), "credentials are wrong")
    with proxy(server) as between:
        between.plan = lambda method, path, n: "expired"
        url = between.endpoint.url
        refused(cli("status", address, AWS_ENDPOINT_URL=url), "the credentials have expired: set new ones")
    refused(cli("status", f"s3://{address.split('/')[2]}-none/x"), "there is no such bucket")
    [port] = free_ports(1)
    away = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    gone = run([sys.executable, "-c", IMPATIENT, "status", address], **away)
    refused(gone, "the object store does not answer as it should")
    assert cli("status", f"{address}-none").returncode == 2
    assert cli("status", address).returncode == 0


def test_a_wrong_secret_or_key_is_told_as_such(lead, monkeypatch, tmp_path):
    """moto checks signatures once it has carried out four requests, which make a user with a key and a bucket."""
    boto3 = pytest.importorskip("boto3", reason="tests/services/install.sh has not been run: no boto3")
    pytest.importorskip("moto", reason="tests/services/install.sh has not been run: no moto")
    monkeypatch.setenv("INITIAL_NO_AUTH_ACTION_COUNT", "4")
    with s3.moto(tmp_path) as server:
        keys = {"aws_access_key_id": "none", "aws_secret_access_key": "none", "region_name": "us-east-1"}
        iam = boto3.client("iam", endpoint_url=server.url, **keys)
        iam.create_user(UserName="u")
        key = iam.create_access_key(UserName="u")["AccessKey"]
        allowed = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=policy)
        owner = Endpoint("moto", server.url, key["AccessKeyId"], key["SecretAccessKey"])
        owner.client().create_bucket(Bucket="secrets")
        lead(owner)
        assert open_store("s3://secrets/p").commit_new("a", content(b"x"))
        for wrong in ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"):
            lead(owner, **{wrong: "wrong"})
            store = open_store("s3://secrets/p")
            for act in (store.names, lambda store=store: store.read("a"), lambda store=store: store.exists("a")):
                with pytest.raises(StorageError, match="the credentials are wrong: check those in"):
                    act()
            with pytest.raises(StorageError, match="the credentials are wrong: check those in"):
                store.commit_new("b", content(b"x"))


def test_a_bucket_that_vanishes_stops_everything_with_a_sentence(server, bucket, tmp_path):
    """Removed while a collection is under way: its workers stop, and say why."""
    params = {"control": str(tmp_path), "pause": 0.05}
    design = Design(models=400, heldout=3, seed=1)
    study = Study.create(f"s3://{bucket}/x", f"{worlds.__file__}:unruly", design, params=params, segment=4)
    command = [sys.executable, "-m", "subtrain", "collect", study.location, "--workers", "2"]
    runner = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    while study.models_done() < 12:
        assert runner.poll() is None, runner.communicate()
        time.sleep(0.1)
    stop = threading.Event()

    def remove() -> None:
        client = server.client()
        while not stop.is_set():
            try:
                for found in client.list_objects_v2(Bucket=bucket).get("Contents", []):
                    client.delete_object(Bucket=bucket, Key=found["Key"])
                client.delete_bucket(Bucket=bucket)
                return
            except client.exceptions.ClientError:
                continue

    remover = threading.Thread(target=remove)
    remover.start()
    try:
        _, said = runner.communicate(timeout=120)
    finally:
        stop.set()
        remover.join()
    assert runner.returncode == 6, said
    assert "Error: cannot " in said
    assert "there is no such bucket" in said
    assert "Traceback" not in said


def test_a_server_without_conditional_creates_is_refused(server, bucket, monkeypatch):
    """Played by a client that leaves the condition out."""
    from obstore import put

    store = open_store(f"s3://{bucket}/x")
    monkeypatch.setattr("obstore.put", lambda *args, mode=None, **kwargs: put(*args, **kwargs))
    with pytest.raises(StorageError, match=r"s3://.*/x ignores If-None-Match: two runners could overwrite"):
        store.prepare()


def test_no_credentials_at_all(lead, monkeypatch, tmp_path):
    lead(Endpoint("none", "http://127.0.0.1:9", "", ""))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    done = cli("status", "s3://bucket/x")
    refused(done, "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
