"""Who may ask, from where, and how much: checked before anything else looks at a request."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LARGEST_BODY = 1 << 20
COOKIE = "subtrain-token"
LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]"})
HEADERS = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


@dataclass(frozen=True, eq=False)
class Guard:
    """ASGI middleware. hosts: what a request may call this server (None: anything, where a token is asked for anyway);
    token: what it must show, in a header, a cookie or once in the address; None for none."""

    app: App
    hosts: frozenset[str] | None = LOCAL
    token: str | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        fresh = self._from_address(scope)
        if refusal is not None:
            await _answer(send, *refusal)
        elif fresh and scope["path"] == "/" and scope["method"] == "GET":
            await _remember(send, fresh)
        else:
            await self.app(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        host = _name(headers.get("host", ""))
        if self.hosts is not None and host not in self.hosts:
            return 421, f"this server does not answer to the name {host[:80]!r}: open it at 127.0.0.1"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != headers.get("host", ""):
            return 403, "another page asked for this: only the explorer's own page may"
        if headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate":
            return 403, "another page asked for this: only the explorer's own page may"
        if "transfer-encoding" in headers:
            return 411, "say how long the request is: a Content-Length is needed"
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:20]) > LARGEST_BODY:
            return 413, f"a request may have {LARGEST_BODY:,} bytes at most"
        if self.token is not None and not self._shown(scope, headers):
            return 401, "a token is needed: open the address that subtrain explore printed"
        return None

    def _shown(self, scope: Scope, headers: dict[str, str]) -> bool:
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        return any(self._right(one) for one in (bearer, *_cookies(headers.get("cookie", "")))) or bool(
            self._from_address(scope)
        )

    def _from_address(self, scope: Scope) -> str | None:
        """The token in the address, if it is the right one."""
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        return given if self.token is not None and self._right(given) else None

    def _right(self, given: str) -> bool:
        return self.token is not None and hmac.compare_digest(given.encode(), self.token.encode())


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            there = {name.lower() for name, _ in message["headers"]}
            more = [(k.encode(), v.encode()) for k, v in HEADERS.items() if k.encode() not in there]
            if b"cache-control" not in there:
                more.append((b"cache-control", b"no-store"))
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return sent


async def _answer(send: Send, status: int, why: str, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    body = json.dumps({"detail": why}).encode()
    start = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *headers]
    await _with_headers(send)({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})


async def _remember(send: Send, token: str) -> None:
    """Keep the token in a cookie that scripts cannot read, and take it out of the address."""
    cookie = f"{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict"
    headers = [(b"location", b"/"), (b"set-cookie", cookie.encode())]
    await _with_headers(send)({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _cookies(header: str) -> list[str]:
    try:
        found = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return []
    return [found.value] if found is not None else []


def _name(host: str) -> str:
    """A Host header's name without its port."""
    if host.startswith("["):
        return host.partition("]")[0].lower() + "]"
    return host.rpartition(":")[0].lower() if ":" in host else host.lower()
