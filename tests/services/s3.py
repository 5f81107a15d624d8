"""S3-compatible servers as the service tests use them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Endpoint:
    """A server: what it is, where, and whose key opens it."""

    kind: str
    url: str
    key: str
    secret: str

    def environment(self, **changes: str) -> dict[str, str]:
        """The variables that lead a client here."""
        found = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": "us-east-1",
        }
        return found | changes

    def client(self) -> Any:
        """boto3's client, which makes and removes buckets and is independent of what is tested."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            config=Config(connect_timeout=20, read_timeout=60, retries={"total_max_attempts": 2}),
            endpoint_url=self.url,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            region_name="us-east-1",
        )


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody uses at this moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wait_for(attempt: Callable[[], object], seconds: float) -> None:
    """Try until it raises nothing any more."""
    end = time.monotonic() + seconds
    while True:
        try:
            attempt()
            return
        except (OSError, AssertionError):
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


# One request at a time: moto looks whether an object is there and then writes it, and of two that create it at the same
# moment both win.
MOTO = """
import sys, threading
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple
app, alone = DomainDispatcherApplication(create_backend_app), threading.Lock()
def one(environ, start_response):
    with alone:
        return list(app(environ, start_response))
run_simple("127.0.0.1", int(sys.argv[1]), one, threaded=True)
"""


@contextmanager
def moto(here: Path) -> Iterator[Endpoint]:
    """moto's server, in a process that is ended when the context is left."""
    [port] = free_ports(1)
    with open(here / "moto.log", "wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-c", MOTO, str(port)],
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
    try:
        wait_for(lambda: socket.create_connection(("127.0.0.1", port), 1).close(), 60)
        yield Endpoint("moto", f"http://127.0.0.1:{port}", "key", "secret")
    finally:
        server.kill()
        server.wait()
