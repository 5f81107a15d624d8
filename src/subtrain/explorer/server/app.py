"""The app: routers, errors as sentences, the page, and the guard in front of it all."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from typing_extensions import TypedDict

from subtrain._version import __version__
from subtrain.errors import InputError, SubtrainError
from subtrain.explorer.open_studies import Library
from subtrain.explorer.page import page, policy
from subtrain.explorer.server import leakage, maps, study, targets, units, verify
from subtrain.explorer.server.safety import LOCAL, Guard
from subtrain.explorer.verification import Desk

# Answers take a millisecond or two of Python each: more threads than this take turns at the interpreter's lock, and all
# are slower for it.
THREADS = 2


class Problem(TypedDict):
    """What went wrong, in one sentence."""

    detail: str


def make_app(
    library: Library,
    *,
    hosts: frozenset[str] | None = LOCAL,
    proxied: frozenset[str] = frozenset(),
    root: str = "",
    token: str | None = None,
) -> FastAPI:
    """The explorer of these studies as an ASGI app.

    hosts: names the server answers to (None: any, where a token is asked for); proxied: names that a proxy gives it;
    root: path that a proxy leaves before every address; token: what every request must show.
    """
    desk = Desk()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        current_default_thread_limiter().total_tokens = THREADS
        yield
        desk.stop()
        library.stop()

    app = FastAPI(
        title="subtrain explorer",
        version=__version__,
        summary="A study, its targets, and the training data that made their predictions, as JSON.",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        responses={code: {"model": Problem, "description": why} for code, why in _PROBLEMS.items()},
    )
    app.state.library, app.state.desk = library, desk
    for part in (study, targets, units, maps, leakage, verify):
        app.include_router(part.router)
    app.include_router(units.media)
    app.get("/", include_in_schema=False, response_class=HTMLResponse)(front)
    app.exception_handler(SubtrainError)(_sentence)
    app.exception_handler(RequestValidationError)(_unfit)
    app.add_middleware(Guard, hosts=hosts, proxied=proxied, root=root, token=token)
    return app


_PROBLEMS: dict[int | str, str] = {
    400: "The request cannot be read.",
    401: "A token is needed.",
    403: "Another page asked for it.",
    404: "There is no such thing.",
    409: "It cannot be done now, or here.",
    411: "The request does not say how long it is.",
    413: "The request is too large.",
    421: "The server does not answer to this name.",
}


def front() -> HTMLResponse:
    """The front end, with the policy that lets nothing else run in it."""
    html = page()
    return HTMLResponse(html, headers={"content-security-policy": f"{policy(html)}; frame-ancestors 'none'"})


def _sentence(_request: Request, error: Any) -> Response:
    """What subtrain says of itself: never a server error, which would be a defect."""
    return _refused(404 if isinstance(error, InputError) else 409, str(error))


def _unfit(_request: Request, error: Any) -> Response:
    """What does not fit in a request, without repeating it: it may be no JSON (NaN) or no text (half a surrogate)."""
    return _refused(422, [{key: one[key] for key in ("type", "loc", "msg")} for one in error.errors()])


def _refused(status: int, detail: Any) -> Response:
    # In ASCII: a sentence may quote a name that UTF-8 cannot hold.
    return Response(json.dumps({"detail": detail}, allow_nan=False), status, media_type="application/json")
