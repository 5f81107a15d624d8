"""The built front end, one HTML file, and the policy that keeps everything else from running in it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from importlib.resources import files
from typing import Any

from subtrain.errors import InputError

MARK = "<!--subtrain-data-->"
PLACEHOLDER = (
    "<!doctype html><html lang=en><head><meta charset=utf-8><title>subtrain</title></head>"
    "<body><p>This installation lacks the explorer's page. Its API is described at "
    "<a href=api/openapi.json>/api/openapi.json</a>.</body></html>"
)
_SCRIPT = re.compile(r"<script\b(?P<attributes>[^>]*)>(?P<code>.*?)</script>", re.DOTALL | re.IGNORECASE)


def page() -> str:
    """The front end as it ships, or a plain page that says it is missing."""
    found = files("subtrain.explorer").joinpath("web", "index.html")
    return found.read_text(encoding="utf-8") if found.is_file() else PLACEHOLDER


def policy(html: str, connect: str = "'self'") -> str:
    """Content security policy: only the page's own scripts run, and no request leaves for anywhere else."""
    digests = {
        base64.b64encode(hashlib.sha256(found["code"].encode()).digest()).decode()
        for found in _SCRIPT.finditer(html)
        if "application/json" not in found["attributes"]
    }
    scripts = " ".join(f"'sha256-{digest}'" for digest in sorted(digests)) or "'none'"
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src {connect} data: blob:; "
        f"font-src data:; connect-src {connect}; base-uri 'none'; form-action 'none'"
    )


def with_data(data: dict[str, Any]) -> str:
    """The front end with this data inside, as JSON that no HTML parser can take for anything else.

    A policy in the file itself keeps it from asking anybody for anything. InputError if there is no front end.
    """
    built = page()
    if MARK not in built:
        raise InputError("this installation lacks the explorer's page, so it cannot be exported")
    text = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    forbid = f'<meta http-equiv="Content-Security-Policy" content="{policy(built, "data:")}">'
    return built.replace(MARK, f'{forbid}<script type="application/json" id="subtrain-data">{text}</script>', 1)
