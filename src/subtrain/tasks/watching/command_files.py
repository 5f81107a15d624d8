"""The files of one's own that a command runs: its scripts, and what they source, import or name, found by reading them.

Names that are put together when a script runs are not found; `data=` can name such files.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from subtrain.tasks.loading.task_folder import files_of_module
from subtrain.tasks.watching import syntax
from subtrain.tasks.watching.contents import file_digest
from subtrain.tasks.watching.own_code import is_own
from subtrain.tasks.watching.watched import DATA

# Larger files are data, whatever they are called.
_READ = 1 << 18
_FAMILIES = (
    (".sh", ".bash", ".zsh", ".ksh", ".csh", ".fish"),
    (".pl", ".pm"),
    (".js", ".mjs", ".cjs", ".ts"),
    (".R", ".r"),
    (".rb",),
    (".lua",),
    (".jl",),
    (".py",),
)
_CODE = {suffix for family in _FAMILIES for suffix in family}
_SETTINGS = {".json", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf", ".config", ".env", ".properties"}
_NAME = re.compile(r"(?:[\w.+~-]|::|/)+")
_SOURCED = re.compile(r"(?:^|[\s;&|({])(?:source|\.)[ \t]+[\"']?([^\s;\"'&|)]+)", re.M)
_REDIRECTED = re.compile(r"(?<![-=])>{1,2}(?!=)\s*\S+|\btee\s+(?:-a\s+)?\S+")
_WRITES = re.compile(r"[\"'][wax]b?\+?[\"']|writ|dump|save", re.I)


def files_of(words: Sequence[str], root: Path) -> dict[str, str]:
    """The digests of the files that a command, run in folder `root`, is made of, by their names.

    A file in the command itself counts unless it is an installed program; then, one after the other, the files below
    its folder or `root` that a text file among them sources, imports, or calls by name. Settings files count where they
    are named, except on a line that writes.
    """
    named = [root / word for word in words if (root / word).is_file()]
    own = [path for path in named if not is_program(path, root)]
    tops = [*(path.parent for path in own if is_own(str(path))), root]
    waiting = [*own, *_in_words(words, root, tops)]
    found: dict[Path, None] = {}
    while waiting:
        path = Path(os.path.abspath(waiting.pop()))
        if path not in found:
            found[path] = None
            waiting += _named(path, root, tops)
    return _labelled(list(found), tops)


def is_program(path: Path, root: Path) -> bool:
    """Whether it is a program that is installed, and not one of the user's own."""
    if path.resolve().is_relative_to(root) or not os.access(path, os.X_OK):
        return False
    folders = os.environ.get("PATH", "").split(os.pathsep)
    return path.parent.name in ("bin", "sbin") or str(path.parent) in folders or not is_own(str(path))


def programs(words: Sequence[str], root: Path) -> Mapping[str, str]:
    """The name of the installed program that a command begins with, "" for its version, which only it knows."""
    path = root / words[0]
    return {path.name: ""} if not path.is_file() or is_program(path, root) else {}


def _labelled(paths: Sequence[Path], tops: Sequence[Path]) -> dict[str, str]:
    """Names that stay when the folder moves, and a script is run from elsewhere; installed files by their own name."""
    labels: dict[str, list[str]] = {}
    for path in paths:
        top = next((top for top in tops if is_own(str(path)) and path.is_relative_to(top)), path.parent)
        labels.setdefault(path.relative_to(top).as_posix(), []).append(file_digest(path))
    return {
        "./data" if label == DATA else label: " ".join(sorted(digests)) for label, digests in sorted(labels.items())
    }


def _in_words(words: Sequence[str], root: Path, tops: Sequence[Path]) -> list[Path]:
    """Files that words of a command name inside: `bash -c ". lib.sh"`, `--config=a.yaml`, `python -m package.train`."""
    found: list[Path] = []
    for before, word in zip(["", *words], words, strict=False):
        if (root / word).is_file():
            continue
        if before == "-m":
            found += files_of_module(word, [root])
            found += [path for path in [root.joinpath(*word.split("."), "__main__.py")] if path.is_file()]
        elif before == "-c":
            found += _imported(word, [root], root)
        found += _mentioned(word, root, tops, "")
    return found


def _named(path: Path, root: Path, tops: Sequence[Path]) -> list[Path]:
    text = _text(path)
    if text is None or (path.suffix not in _CODE and path.suffix and not text.startswith("#!")):
        return []
    found = _mentioned(text, path.parent, [path.parent, *tops], path.suffix or ".sh")
    if path.suffix == ".py" or re.match(r"#!.*python", text):
        found += _imported(text, [path.parent, *tops], path.parent)
    return [file for file in found if _is_below(file, tops)]


def _text(path: Path) -> str | None:
    """What a file says, None for one that is no text or too long for code."""
    if path.stat().st_size > _READ:
        return None
    try:
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        return None
    return None if "\0" in text else text


def _is_below(path: Path, tops: Sequence[Path]) -> bool:
    return is_own(str(path)) and any(path.resolve().is_relative_to(top.resolve()) for top in tops)


def _mentioned(text: str, here: Path, tops: Sequence[Path], suffix: str) -> list[Path]:
    """Files that exist where a text names them: code and settings, and whatever a shell sources."""
    family = next((family for family in _FAMILIES if suffix in family), ())
    found = [path for name in _SOURCED.findall(text) for path in _existing(name, [here, *tops], ())]
    for line in dict.fromkeys(_REDIRECTED.sub(" ", text).splitlines()):
        writes = bool(_WRITES.search(line))
        for name in dict.fromkeys(_NAME.findall(line)):
            paths = _existing(name.replace("::", "/"), [here, *tops], family if suffix != ".py" else ())
            found += [p for p in paths if p.suffix in _CODE or (p.suffix in _SETTINGS and not writes)]
            found += [p for p in paths if not p.suffix and os.access(p, os.X_OK)]
    return found


def _existing(name: str, places: Sequence[Path], suffixes: Sequence[str]) -> list[Path]:
    """The files that a name may mean: of "HERE/lib/x.sh", where HERE is a variable, "lib/x.sh" and "x.sh" too."""
    parts = [part for part in re.sub(r"\$\{?\w*\}?|\$\(.*?\)", "", name).split("/") if part not in ("", ".")]
    if not parts or not any(char.isalpha() for char in parts[-1]):
        return []
    ends = ["/".join(parts[k:]) for k in range(min(len(parts), 6))]
    found = [place / f"{end}{suffix}" for place in places for end in ends for suffix in ("", *suffixes)]
    if name.startswith("/"):
        found.insert(0, Path(name))
    return list(dict.fromkeys(path for path in found if len(path.name) < 200 and path.is_file()))


def _imported(text: str, places: Sequence[Path], here: Path) -> Iterator[Path]:
    """Files that Python code imports, also of a package what runs before."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    for level, name in syntax.imports(tree):
        if not level:
            yield from files_of_module(name, places)
        elif level <= 1 + len(here.parts):
            yield from files_of_module(name, [here if level == 1 else here.parents[level - 2]])
