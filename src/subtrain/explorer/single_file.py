"""The explorer as one file: the same page with the answers to its questions inside."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from subtrain.errors import SubtrainError
from subtrain.explorer.data.sidecar import Progress, nothing
from subtrain.explorer.data.target_choice import choose
from subtrain.explorer.open_studies import Library, OpenFit
from subtrain.explorer.page import with_data
from subtrain.store import atomic_files
from subtrain.system.paths import local_path

UNITS = 500
IMAGES = 4000
SIDE = 96
WAIT = 3600.0
# The state of a study and its fits, once; what is computed in the background is waited for.
WHOLE = ("/api/study", "/api/status", "/api/curve", "/api/clusters", "/api/leakage")
MAPS = ("/api/map?of=targets", "/api/map?of=units")


def export_page(library: Library, path: str | Path, targets: int = 200, progress: Progress = nothing) -> str:
    """Write the page to `path`, whole or not at all; returns a sentence that says what is in it.

    Of more than `targets` targets that many are chosen as the report chooses them: at evenly spaced ranks of LDS, and
    some that the models disagree about. Raises InputError when nothing is fitted.
    """
    data = gather(library, targets, progress)
    content = with_data(data).encode(errors="replace")
    path = local_path(path)
    with atomic_files.storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    atomic_files.replace(path, lambda file: file.write(content))
    return f"{data['note']}; {len(content) / 1e6:.1f} MB"


def gather(library: Library, targets: int, progress: Progress = nothing) -> dict[str, Any]:
    """Answers by the path and query that ask for them, for one fit."""
    fit = library.fit()
    chosen = [choice.target for choice in choose(fit.table("lds"), _correct(fit), fit.labels, targets)]
    answers = asyncio.run(_answers(library, fit, sorted(chosen), progress))
    note = f"{len(chosen):,} of {fit.dm.targets:,} targets"
    made = datetime.now(UTC).isoformat(timespec="seconds")
    return {"fit": fit.ref, "made": made, "note": note, "answers": answers}


def _correct(fit: OpenFit) -> Any:
    share = fit.table("correct")
    return None if share.size and share[0] != share[0] else share


async def _answers(library: Library, fit: OpenFit, targets: list[int], progress: Progress) -> dict[str, Any]:
    from subtrain.explorer.server.app import make_app
    from subtrain.explorer.server.targets import row

    app = make_app(library, hosts=None)
    answers = {where: await _settled(app, where) for where in (*WHOLE, *MAPS)}
    for feature in ("verify", "compare"):
        answers["/api/study"]["features"][feature] = {"available": False, "why": "This is a page without a server."}
    rows = [row(fit, target).model_dump(mode="json") for target in targets]
    answers["/api/targets"] = {"total": len(rows), "offset": 0, "version": fit.version, "items": rows}
    for number, target in enumerate(targets):
        answers[f"/api/targets/{target}"] = await _ask(app, f"/api/targets/{target}")
        answers[f"/api/targets/{target}/weights"] = await _ask(app, f"/api/targets/{target}/weights?limit=300")
        progress("page", number + 1, len(targets))
    for unit in _units(answers):
        answers[f"/api/units/{unit}"] = await _ask(app, f"/api/units/{unit}?k=10")
    _add_images(library, answers)
    return answers


def _units(answers: dict[str, Any]) -> list[int]:
    """The units that the embedded targets name most often."""
    seen: Counter[int] = Counter()
    for where, answer in answers.items():
        if where.startswith("/api/targets/") and "helpful" in answer:
            seen.update(one["unit"]["number"] for one in (*answer["helpful"], *answer["harmful"]))
    return [unit for unit, _ in seen.most_common(UNITS)]


def _add_images(library: Library, answers: dict[str, Any]) -> None:
    """Every picture that an answer names, as a data address; where there are too many, the later ones are left out."""
    from subtrain.explorer.server.media import picture_of

    for holder in list(_pictured(answers)):
        where = holder["image"]
        if where not in answers:
            _, _, _, which, split, name = where.split("/")
            count = sum(1 for key in answers if key.startswith("/api/image/"))
            png = picture_of(library, which, split, int(name.partition(".")[0]), SIDE) if count < IMAGES else None
            if png is None:
                holder["image"] = None
                continue
            answers[where] = f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _pictured(value: Any) -> Iterator[dict[str, Any]]:
    """Everything in an answer that has a picture."""
    if isinstance(value, dict):
        if isinstance(value.get("image"), str):
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _pictured(one)


async def _settled(app: Any, where: str) -> Any:
    """The answer, when what is computed in the background is done or has failed."""
    until = time.monotonic() + WAIT
    while True:
        answer = await _ask(app, where)
        if not isinstance(answer, dict) or answer.get("state") not in ("queued", "computing"):
            return answer
        if time.monotonic() > until:
            raise SubtrainError(f"{where} took longer than {WAIT / 60:.0f} minutes, so no page was written")
        await asyncio.sleep(0.2)


async def _ask(app: Any, where: str) -> Any:
    """What the app answers, without a network."""
    parts = urlsplit(where)
    query = urlencode(parse_qsl(parts.query)).encode()
    scope = {
        "type": "http",
        "method": "GET",
        "path": parts.path,
        "raw_path": parts.path.encode(),
        "query_string": query,
        "headers": [(b"host", b"localhost")],
        "http_version": "1.1",
        "scheme": "http",
        "root_path": "",
        "client": None,
        "server": None,
    }
    status, body = 0, b""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status, body
        status = message.get("status", status)
        body += message.get("body", b"")

    await app(scope, receive, send)
    answer = json.loads(body)
    if status != 200:
        raise SubtrainError(f"{where} could not be answered: {answer.get('detail')}")
    return answer
