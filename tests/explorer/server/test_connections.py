"""Requests that never arrive whole do not keep others from being answered."""

import http.client
import resource
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

pytest.importorskip("fastapi")

from subtrain.explorer.server import connections

HALF = b"GET /api/study HTTP/1.1\r\nHost: 127.0.0.1\r\n"
SERVER = """
import resource, sys
from subtrain import Study
from subtrain.explorer.server import connections
from subtrain.explorer.serve import library_of, serve
connections.SECONDS = float(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
serve(library_of(Study.open(sys.argv[1])), port=0, browser=False, announce=lambda a: print(a, flush=True))
"""


@pytest.fixture
def served(world):
    """served(seconds): the address of an explorer that may open 128 files and waits so long for a request."""
    started = []

    def start(seconds):
        command = [sys.executable, "-c", SERVER, str(world.path), str(seconds)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return started[-1].stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def connect(address):
    host, _, port = address.removeprefix("http://").rstrip("/").partition(":")
    return socket.create_connection((host, int(port)), timeout=60)


def status(address):
    with urllib.request.urlopen(f"{address}api/study", timeout=60) as answer:
        return answer.status


def test_half_sent_requests_do_not_use_up_its_files(served):
    address = served(600)
    halves = []
    for number in range(400):
        halves.append(connect(address))
        halves[-1].sendall(HALF if number % 2 else b"")
        if number % 100 == 99:
            assert status(address) == 200
    for half in halves:
        half.close()


@pytest.mark.parametrize(
    "part", [b"", HALF, b"POST /api/verify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n{"]
)
def test_a_request_that_does_not_arrive_whole_is_given_up(served, part):
    address = served(0.5)
    with connect(address) as half:
        half.sendall(part)
        while half.recv(65536):
            pass
    assert status(address) == 200


def test_a_second_request_has_as_long_as_the_first(served):
    address = served(3)
    kept = http.client.HTTPConnection(address.removeprefix("http://").rstrip("/"), timeout=60)
    kept.connect()
    first = kept.sock
    for _ in range(4):
        time.sleep(1)
        kept.request("GET", "/api/study")
        assert kept.getresponse().read().endswith(b"}")
        assert kept.sock is first
    kept.close()


def test_fewer_may_wait_where_few_files_may_be_open(monkeypatch):
    for files, waiting in ((128, 64), (1024, 256), (1, 1), (resource.RLIM_INFINITY, 256)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, files=files: (files, files))
        assert connections.most_waiting() == waiting
