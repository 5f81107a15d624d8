"""What the site has beside the pages: the examples that they link to, and reference that is generated from the code.

A page of reference holds markers, comments that show nothing elsewhere:

    <!-- public names of: uses, fits -->     docstrings of all names in subtrain/__init__.pyi from these rooms
    <!-- all names of: subtrain.public -->   docstrings of all names in that package's __all__
    <!-- modules of: subtrain.testing -->    docstrings of all modules in that package
    <!-- verbs -->                           every verb of the command line, with its options
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from posixpath import relpath
from typing import Any

ROOT = Path(__file__).parents[2]
PUBLIC = ROOT / "src" / "subtrain" / "__init__.pyi"
MARKER = re.compile(r"<!-- (public names of|all names of|modules of|verbs)(?:: ([\w., ]+))? -->")
COPIED = ("examples/", "benchmarks/", "CONTRIBUTING.md", "CHANGELOG.md", "tests/")


def on_files(files: Any, config: Any) -> Any:
    """Adds the files outside docs/ that pages link to, at the same place in the site."""
    from mkdocs.structure.files import File

    for path in sorted({target for page in Path(config.docs_dir).rglob("*.md") for target in _outside(page)}):
        files.append(File.generated(config, _place(path), content=(ROOT / path).read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fills in the markers, and leads links out of docs/ to the copies."""
    here = ROOT / "docs" / page.file.src_uri

    def lead(link: re.Match[str]) -> str:
        target = _path_outside(here, link[1])
        return f"]({relpath(_place(target), Path(page.file.src_uri).parent.as_posix() or '.')})" if target else link[0]

    return MARKER.sub(lambda found: generated(found[1], found[2] or ""), re.sub(r"\]\(([^)\s#]+)\)", lead, markdown))


def generated(what: str, of: str) -> str:
    """What stands in the place of a marker."""
    if what == "verbs":
        return "\n".join(_verbs())
    return "\n\n".join(f"::: {name}" for name in names(what, of))


def names(what: str, of: str) -> list[str]:
    """The names whose docstrings stand in the place of a marker."""
    given = [part.strip() for part in of.split(",")]
    if what == "public names of":
        return [f"subtrain.{name}" for wanted in given for name, room in public_names().items() if room == wanted]
    if what == "modules of":
        found = [
            (package, module.name) for package in given for module in iter_modules(import_module(package).__path__)
        ]
        return [f"{package}.{module}" for package, module in found]
    return [f"{package}.{name}" for package in given for name in import_module(package).__all__]


def public_names() -> dict[str, str]:
    """Every public name with the room it comes from."""
    lines = re.findall(r"^from \.([\w.]*) import \w+ as (\w+)$", PUBLIC.read_text(encoding="utf-8"), re.M)
    return {name: module.partition(".")[0] or name for module, name in lines}


def _outside(page: Path) -> list[str]:
    links = re.findall(r"\]\(([^)\s#]+)\)", page.read_text(encoding="utf-8"))
    return [path for link in links if (path := _path_outside(page, link))]


def _path_outside(page: Path, link: str) -> str | None:
    """The path from the root that a link leads to, if that is a file outside docs/."""
    target = (page.parent / link).resolve()
    if link.startswith("http") or not target.is_file() or not target.is_relative_to(ROOT):
        return None
    path = target.relative_to(ROOT).as_posix()
    return path if path.startswith(COPIED) else None


def _place(path: str) -> str:
    """Where a file from outside lies in the site: programs and pages as text, which browsers show."""
    return f"files/{path}.txt" if path.endswith((".py", ".pl", ".md")) else f"files/{path}"


def _verbs() -> list[str]:
    import typer.main

    from subtrain.cli.main import load
    from subtrain.cli.shared.app import app

    load()

    lines = []
    for name, verb in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        below = getattr(verb, "commands", None)
        shown = below.items() if below else [("", verb)]
        for inner, command in ((inner, command) for inner, command in shown if not command.hidden):
            lines += [
                f"## `subtrain {name} {inner}".rstrip() + "`",
                "",
                _plain(command.help),
                "",
                *_options(command),
                "",
            ]
    return lines


def _options(command: Any) -> list[str]:
    shown = [option for option in command.params if not getattr(option, "hidden", False)]
    rows = [f"| {_spelled(option)} | {_plain(option.help)} |" for option in shown]
    return ["| option | what it does |", "|---|---|", *rows] if rows else []


def _spelled(option: Any) -> str:
    if option.param_type_name == "argument":
        return f"`{option.metavar or option.name.upper()}`"
    return ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))


def _plain(text: str | None) -> str:
    """Help text as Markdown in one line, in which no option turns into HTML or a column."""
    return re.sub(r"\s+", " ", text or "").replace("|", "\\|").replace("<", "&lt;").strip()
