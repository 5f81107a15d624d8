"""A door before a server: while it is shut, connections are refused, as by a machine whose service is down."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from s3 import Endpoint, free_ports


class Gate:
    """`endpoint` is where clients go; `shut` also breaks every connection that there is, `open` lets them come anew."""

    def __init__(self, server: Endpoint) -> None:
        [self.port] = free_ports(1)
        self.target = ("127.0.0.1", urlsplit(server.url).port)
        self.endpoint = Endpoint(server.kind, f"http://127.0.0.1:{self.port}", server.key, server.secret)
        self.listener: socket.socket | None = None
        self.links: list[socket.socket] = []
        self.shuts = 0

    def open(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        threading.Thread(target=self._serve, args=(self.listener,), daemon=True).start()

    def shut(self) -> None:
        for link in (self.listener, *self.links):
            if link is not None:
                with suppress(OSError):
                    link.shutdown(socket.SHUT_RDWR)
                link.close()
        self.listener, self.links = None, []
        self.shuts += 1

    def shut_for(self, seconds: float, after: float = 0.0) -> None:
        """Shut, at once or in a while, and open again; returns at once."""

        def away() -> None:
            time.sleep(after)
            self.shut()
            time.sleep(seconds)
            self.open()

        if after:
            threading.Thread(target=away, daemon=True).start()
            return
        self.shut()
        threading.Timer(seconds, self.open).start()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection(self.target)
            self.links += [client, server]
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=_pass_on, args=(one, other), daemon=True).start()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def gate(server: Endpoint) -> Iterator[Gate]:
    """A gate before `server`, open."""
    made = Gate(server)
    made.open()
    try:
        yield made
    finally:
        made.shut()
