"""A proxy between a client and an S3 server that does to requests what networks and servers sometimes do."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from s3 import Endpoint

# What may happen to a request: it never arrives; its reply never arrives; the server fails before or after carrying it
# out; the reply is slow, stops half-way for a while, breaks off, or arrives with a byte flipped.
FAULTS = ("drop", "lose", "503", "500 after", "slow", "stall", "cut", "flip")
EXPIRED = "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"


@dataclass
class Proxy:
    """`plan(method, path, n)` says what happens to the n-th request, from 0, of a method for a path; None: nothing."""

    endpoint: Endpoint
    plan: Callable[[str, str, int], str | None] = lambda method, path, n: None
    delay: float = 1.0
    seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, method: str, path: str) -> str | None:
        with self.lock:
            n = self.seen[method, path]
            self.seen[method, path] += 1
            found = self.plan(method, path, n)
            self.done[str(found)] += 1
        return found


@contextmanager
def proxy(server: Endpoint) -> Iterator[Proxy]:
    """A proxy before `server`; its `endpoint` is where clients go."""
    target = urlsplit(server.url).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = made.fault(self.command, self.path.partition("?")[0])
            if fault == "drop":
                self.hang_up()
            elif fault in ("503", "expired"):
                self.answer(503 if fault == "503" else 400, EXPIRED if fault == "expired" else "")
            else:
                self.after(fault, *self.carried_out(body))

        def carried_out(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
            link = http.client.HTTPConnection(target, timeout=60)
            link.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                link.putheader(name, value)
            link.endheaders(body)
            reply = link.getresponse()
            content = reply.read()
            link.close()
            return reply, content

        def after(self, fault: str | None, reply: http.client.HTTPResponse, content: bytes) -> None:
            if fault == "lose":
                self.hang_up()
                return
            if fault == "500 after":
                self.answer(500, "")
                return
            if fault == "slow":
                time.sleep(made.delay)
            if fault == "flip" and content:
                middle = len(content) // 2
                content = content[:middle] + bytes([content[middle] ^ 0x10]) + content[middle + 1 :]
            self.send_response(reply.status, reply.reason)
            for name, value in reply.getheaders():
                if name.lower() not in ("connection", "transfer-encoding", "content-length", "date", "server"):
                    self.send_header(name, value)
            length = reply.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
            if length is not None:
                self.send_header("Content-Length", length)
            self.end_headers()
            if fault == "cut" and self.command == "GET" and content:
                self.wfile.write(content[: len(content) // 2])
                self.hang_up()
                return
            if fault == "stall":
                self.wfile.write(content[: len(content) // 2])
                self.wfile.flush()
                time.sleep(made.delay)
                content = content[len(content) // 2 :]
            self.wfile.write(content)

        def answer(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def hang_up(self) -> None:
            self.close_connection = True
            self.wfile.flush()
            self.connection.close()

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = pass_on

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that hung up is no news here."""

    with Server(("127.0.0.1", 0), Handler) as listener:
        url = f"http://127.0.0.1:{listener.server_port}"
        made = Proxy(Endpoint(server.kind, url, server.key, server.secret))
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        try:
            yield made
        finally:
            with suppress(OSError):
                listener.shutdown()
