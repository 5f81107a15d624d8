"""Serving: where, to whom, and what is said when it cannot be."""

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from urllib.error import HTTPError

import pytest

pytest.importorskip("fastapi")

from subtrain.errors import InputError
from subtrain.explorer import serve
from subtrain.explorer.serve import library_of


def test_a_port_that_is_taken(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port}: Address already in use; try another --port"):
            serve._listen("127.0.0.1", port)
        monkeypatch.setattr(serve, "PORT", port)
        with serve._listen("127.0.0.1", None) as found:
            assert found.getsockname()[1] not in (0, port)


@pytest.mark.parametrize("host", ["256.0.0.1", "192.0.2.1", "no such host"])
def test_an_address_that_is_not_of_this_machine(host):
    with pytest.raises(InputError, match="cannot serve on"):
        serve._listen(host, 0)


@pytest.mark.parametrize("name", ["https://hub.example", "hub.example/user", "", "a b", "hub.example:"])
def test_a_proxys_name_that_is_none(world, name):
    with pytest.raises(InputError, match=r"is no host's name: give it as in hub\.example\.org"):
        serve.serve(library_of(world), port=0, allow_hosts=[name])


def test_a_path_that_is_none(world):
    with pytest.raises(InputError, match="is no path before an address"):
        serve.serve(library_of(world), port=0, root="/user?x")


@pytest.mark.parametrize(
    ("host", "local"), [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("box", False)]
)
def test_who_can_reach_it(host, local):
    assert serve._local(host) is local


def test_without_the_extra_it_says_what_to_install(world, monkeypatch):
    monkeypatch.setattr(serve, "find_spec", lambda name: None if name == "uvicorn" else object())
    with pytest.raises(InputError, match=r"pip install 'subtrain\[explorer\]'"):
        serve.serve(library_of(world), port=0)


def test_a_fit_that_is_not_there(world):
    with pytest.raises(InputError, match="no fit named 'none': there are default, train, wrong"):
        library_of(world, "none")


def start(*words):
    command = [sys.executable, "-m", "subtrain", "explore", *map(str, words), "--no-browser", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in process.stdout:
        if line.startswith("http://"):
            return process, line.strip()
    raise AssertionError(f"it ended with {process.wait()}")


def fetch(address, **headers):
    with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=30) as answer:
        return json.load(answer)


def test_served_from_the_command_line_until_interrupted(copy):
    process, address = start(copy.path)
    try:
        assert address.startswith("http://127.0.0.1:")
        assert fetch(f"{address}api/study")["name"] == "copy"
        body = json.dumps({"decision": "no"}).encode()
        request = urllib.request.Request(
            f"{address}api/leakage/1-2", body, {"content-type": "application/json"}, method="PUT"
        )
        urllib.request.urlopen(request, timeout=30).close()
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(timeout=30)
        process.stdout.close()
    assert code in (0, 130)
    assert json.loads((copy.path / "reviews" / "leakage-test_margins.json").read_text())["decisions"] == {"1-2": "no"}


def test_served_to_others_it_asks_for_a_token(copy):
    process, address = start(copy.path, "--host", "0.0.0.0")
    try:
        where, _, token = address.partition("?token=")
        assert len(token) >= 32
        with pytest.raises(HTTPError, match="401"):
            fetch(f"{where}api/study")
        assert fetch(f"{where}api/study", Authorization=f"Bearer {token}")["name"] == "copy"
    finally:
        process.terminate()
        process.wait(timeout=30)
        process.stdout.close()
