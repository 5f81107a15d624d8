"""What an object store answers when it is ill, busy or refuses: tried again for a minute, or told at once."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from subtrain.errors import StorageError

pytest.importorskip("obstore")
from subtrain.store import bucket

ERROR = '<?xml version="1.0"?><Error><Code>{}</Code><Message>m</Message></Error>'


@pytest.fixture
def answering(monkeypatch):
    """answering([(status, code), …], then): a bucket whose store answers so, one after the other, and `then` for ever.

    None as an answer: the connection is closed without one. Requests are counted in `.requests`.
    """
    servers = []

    def make(answers, then=(200, ""), patience=1.0):
        left = list(answers)

        class Store(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                self.rfile.read(int(self.headers.get("content-length") or 0))
                servers[-1].requests.append(self.command)
                found = left.pop(0) if left else then
                if found is None:
                    self.close_connection = True
                    return
                body = ERROR.format(found[1]).encode() if found[1] else b"content"
                if self.command == "POST" and not found[1]:
                    body = b"<DeleteResult><Deleted><Key>p/x</Key></Deleted></DeleteResult>"
                self.send_response(found[0])
                self.send_header("content-length", str(len(body)))
                self.send_header("last-modified", "Mon, 30 Nov 2026 10:00:00 GMT")
                self.send_header("etag", '"1"')
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = answer

            def log_message(self, *words):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Store)
        server.requests = []
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        for name, value in (("ALLOW_HTTP", "true"), ("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b")):
            monkeypatch.setenv(f"AWS_{name}", value)
        monkeypatch.setattr(bucket, "PATIENCE", patience)
        monkeypatch.setitem(bucket._RETRIES, "retry_timeout", bucket.timedelta(seconds=patience))
        found = bucket.open_bucket("s3://b/p")
        return found, server

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


ACTS = {
    "read": lambda store: store.read("x"),
    "exists": lambda store: store.exists("x"),
    "commit": lambda store: store.commit_new("x", lambda file: file.write(b"1")),
    "replace": lambda store: store.replace("x", lambda file: file.write(b"1")),
    "delete": lambda store: store.delete("x"),
}


def test_a_request_is_tried_for_a_minute():
    assert bucket.PATIENCE == 60
    assert bucket._RETRIES["retry_timeout"].total_seconds() == 60
    pauses = bucket._RETRIES["backoff"]
    assert bucket._RETRIES["max_retries"] * pauses["init_backoff"].total_seconds() > 60, "time alone ends it"


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("ill", [(503, "SlowDown"), (500, "InternalError"), (429, "TooManyRequests"), None])
def test_an_illness_that_passes_is_not_noticed(answering, act, ill):
    store, server = answering([ill] * 2, patience=60)
    assert ACTS[act](store) in (b"content", True, None)
    assert len(server.requests) >= 3


@pytest.mark.parametrize("act", ACTS)
def test_an_illness_that_stays_is_one_sentence(answering, act):
    store, server = answering([], then=(503, "SlowDown"))
    with pytest.raises(StorageError, match=r"503 Service Unavailable.*run the same again"):
        ACTS[act](store)
    assert len(server.requests) > 3


@pytest.mark.parametrize("act", ["read", "exists", "commit"])
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((403, "SignatureDoesNotMatch"), "the credentials are wrong"),
        ((403, "InvalidAccessKeyId"), "the credentials are wrong"),
        ((403, "RequestTimeTooSkewed"), "clock is wrong"),
        ((403, "AccessDenied"), "are not allowed to"),
        ((400, "ExpiredToken"), "credentials have expired"),
        ((400, "AuthorizationHeaderMalformed"), "another region"),
        ((301, "PermanentRedirect"), "another region"),
    ],
)
def test_a_refusal_is_told_at_once_as_what_it_is(answering, act, answer, words):
    store, server = answering([], then=answer, patience=60)
    with pytest.raises(StorageError, match=words):
        ACTS[act](store)
    assert len(server.requests) <= 3


@pytest.mark.parametrize("act", ["read", "commit"])
def test_no_such_bucket(answering, act):
    store, server = answering([], then=(404, "NoSuchBucket"), patience=60)
    with pytest.raises(StorageError, match="there is no such bucket"):
        ACTS[act](store)
    assert len(server.requests) == 1
