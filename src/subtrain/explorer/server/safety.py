"""Who may ask, from where, and how much: checked before anything else looks at a request."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
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
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?", re.ASCII | re.IGNORECASE)
_OTHER_PAGE = "another page asked for this: only the explorer's own page may"
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
    """ASGI middleware in front of everything else.

    hosts: what a request may call this server (None: anything, where a token is asked for anyway);
    proxied: further names, by which a proxy makes it known; its page may ask whatever Host the proxy passes on;
    root: path before the addresses of this server, of a proxy that does not take it away, "" for none;
    token: what a request must show, in a header, a cookie or once in the address; None for none.
    """

    app: App
    hosts: frozenset[str] | None = LOCAL
    proxied: frozenset[str] = frozenset()
    root: str = ""
    token: str | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        scope = self._below_root(scope)
        refusal = self._refusal(scope, headers)
        fresh = self._from_address(scope)
        if refusal is not None:
            await _answer(send, *refusal)
        elif fresh and scope["path"] == "/" and scope["method"] == "GET":
            await self._remember(send, fresh)
        else:
            await self.app(scope, receive, _with_headers(send))

    def _below_root(self, scope: Scope) -> Scope:
        """The request as it would be without the proxy's path before it."""
        path = scope["path"]
        if self.root and (path == self.root or path.startswith(f"{self.root}/")):
            path = path.removeprefix(self.root) or "/"
            return {**scope, "path": path, "raw_path": path.encode("utf-8", "surrogateescape")}
        return scope

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if self.hosts is not None and name_of(host) not in self.hosts | self.proxied:
            return 421, (
                f"this server does not answer to the name {host[:80]!r}: open it at 127.0.0.1, or start it with "
                "--allow-host and the name by which a proxy makes it known"
            )
        if "origin" in headers and not self._own_page(headers["origin"], host):
            return 403, _OTHER_PAGE
        if headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate":
            return 403, _OTHER_PAGE
        if "transfer-encoding" in headers:
            return 411, "say how long the request is: a Content-Length is needed"
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:20]) > LARGEST_BODY:
            return 413, f"a request may have {LARGEST_BODY:,} bytes at most"
        if self.token is not None and not self._shown(scope, headers):
            return 401, "a token is needed: open the address that subtrain explore printed"
        return None

    def _own_page(self, origin: str, host: str) -> bool:
        """Whether a page of this server asks: it lies where the request goes, or where the proxy says it does."""
        try:
            found = urlsplit(origin)
        except ValueError:
            return False
        if found.scheme not in ("http", "https") or not name_of(found.netloc):
            return False
        return found.netloc.lower() == host.lower() or name_of(found.netloc) in self.proxied

    def _shown(self, scope: Scope, headers: dict[str, str]) -> bool:
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        return any(self._right(one) for one in (bearer, *self._cookies(headers.get("cookie", "")))) or bool(
            self._from_address(scope)
        )

    def _from_address(self, scope: Scope) -> str | None:
        """The token in the address, if it is the right one."""
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        return given if self.token is not None and self._right(given) else None

    def _right(self, given: str) -> bool:
        return self.token is not None and hmac.compare_digest(given.encode(), self.token.encode())

    async def _remember(self, send: Send, token: str) -> None:
        """Keep the token in a cookie that scripts cannot read, and take it out of the address.

        The cookie names no path and the new address is relative: a browser then keeps both below the address by which
        it came, whatever a proxy calls it. Lax and not Strict, for the address is often opened from another page.
        """
        cookie = f"{cookie_name(token)}={token}; HttpOnly; SameSite=Lax"
        headers = [(b"location", b"?"), (b"set-cookie", cookie.encode())]
        await _with_headers(send)({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    def _cookies(self, header: str) -> list[str]:
        try:
            found = SimpleCookie(header).get(cookie_name(self.token or ""))
        except CookieError:
            return []
        return [found.value] if found is not None else []


def cookie_name(token: str) -> str:
    """A name of its own for every server: browsers send cookies to all ports of a machine."""
    return f"subtrain-{hashlib.sha256(token.encode()).hexdigest()[:12]}"


def name_of(host: str) -> str:
    """A Host header's name without its port, in small letters; "" unless the whole header is one name."""
    found = _HOST.fullmatch(host)
    return found["name"].lower() if found else ""


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
