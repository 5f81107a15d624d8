"""Serving a study on this machine until somebody stops it."""

from __future__ import annotations

import gc
import ipaddress
import re
import secrets
import socket
import threading
import webbrowser
from collections.abc import Callable, Sequence
from importlib.util import find_spec

from subtrain.errors import InputError
from subtrain.explorer.data.sidecar import Progress, nothing
from subtrain.explorer.open_studies import Library
from subtrain.study import Study

PORT = 8420


def library_of(
    study: Study, fit: str | None = None, compare: Study | None = None, progress: Progress = nothing
) -> Library:
    """The studies to show; InputError if there is no such fit."""
    library = Library({"": study} | ({"@b": compare} if compare is not None else {}), fit, progress=progress)
    if fit is not None or library.default() is not None:
        library.fit(fit)
    return library


def serve(
    library: Library,
    host: str = "127.0.0.1",
    port: int | None = None,
    browser: bool = True,
    announce: Callable[[str], object] = print,
    *,
    allow_hosts: Sequence[str] = (),
    root: str = "",
) -> None:
    """Serve until interrupted.

    port: by default 8420, or a free one if that is taken; allow_hosts: names by which a proxy makes this server known;
    root: path that the proxy leaves before every address, for example /user/ann/proxy/absolute/8420.

    On an address that others can reach, and behind a proxy, a token made now is asked for; `announce` is told the
    addresses with it. Raises InputError for an address that cannot be served on, and where the server's packages are
    missing.
    """
    if find_spec("fastapi") is None or find_spec("uvicorn") is None:
        raise InputError("the explorer's server needs FastAPI and uvicorn: pip install 'subtrain[explorer]'")
    import uvicorn

    from subtrain.explorer.server.app import make_app
    from subtrain.explorer.server.connections import TimedHTTP
    from subtrain.explorer.server.safety import LOCAL

    proxied, root = frozenset(map(_plain_name, allow_hosts)), _plain_path(root)
    listening = _listen(host, port)
    token = None if _local(host) and not proxied else secrets.token_urlsafe(24)
    name = f"[{host}]" if ":" in host else host
    app = make_app(library, hosts=LOCAL | {name} if _local(host) else None, proxied=proxied, root=root, token=token)
    page = f"{root}/" + (f"?token={token}" if token else "")
    address = f"http://{name}:{listening.getsockname()[1]}{page}"
    announce(address)
    for known in allow_hosts:
        announce(f"https://{known}{page}" if root else f"https://{known}/…{page}")
    if browser:
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    config = uvicorn.Config(
        app, http=TimedHTTP, ws="none", log_level="warning", access_log=False, timeout_graceful_shutdown=2
    )
    # What is there now stays; looking through all of it for garbage again and again would hold up answers for 0.1 s.
    gc.collect()
    gc.freeze()
    with listening:
        uvicorn.Server(config).run(sockets=[listening])


def _listen(host: str, port: int | None) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for wanted in (PORT, 0) if port is None else (port,):
        # Named as TCP, for asyncio sends small answers at once on such sockets only; else each waits 40 ms.
        found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((host, wanted))
            found.listen()
            return found
        except (OSError, OverflowError) as error:
            found.close()
            why = getattr(error, "strerror", None) or str(error)
    raise InputError(f"cannot serve on {host}, port {wanted}: {why}; try another --port, 0 for any")


def _local(host: str) -> bool:
    """Whether only this machine reaches the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _plain_name(host: str) -> str:
    """A proxy's name as a browser sends it, without its port; InputError for anything else, a URL for example."""
    from subtrain.explorer.server.safety import name_of

    if not name_of(host):
        raise InputError(f"{host!r} is no host's name: give it as in hub.example.org, without http:// and path")
    return name_of(host)


def _plain_path(root: str) -> str:
    """A path before all addresses, as in /user/ann, "" for none; InputError for what is no path."""
    path = root.strip("/")
    if not path:
        return ""
    if not re.fullmatch(r"[A-Za-z0-9._~@%/+-]+", path) or "//" in path:
        raise InputError(f"{root!r} is no path before an address: give it as in /user/ann/proxy/8420")
    return f"/{path}"
