"""What the README and the pages say is true: the program runs, commands exist, links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from subtrain.cli.main import load
from subtrain.cli.shared.app import app
from test_package import ORDER

load()

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "benchmarks" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]


def test_the_five_lines_of_the_readme_run(tmp_path):
    program = re.findall(r"```python\n(.*?)```", PAGES[0].read_text(), re.S)[0]
    assert "models=5000" in program
    small = program.replace("models=5000", "models=100, heldout=20")
    done = subprocess.run([sys.executable, "-c", small], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "LDS" in done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_on_the_pages_exist(page):
    verbs = {}
    for name, verb in typer.main.get_command(app).commands.items():
        below = getattr(verb, "commands", {})
        verbs |= {f"{name} {inner}": command for inner, command in below.items()} if below else {name: verb}
    groups = {name.split()[0] for name in verbs if " " in name}
    for first, rest in re.findall(r"subtrain ([\w-]+)((?: [^\s`&|,:;.]\S*)*)", page.read_text()):
        verb, given = first, rest.strip()
        if first in groups:
            inner, _, given = given.partition(" ")
            verb = f"{first} {inner}"
        if verb not in verbs:
            assert not given.startswith(("runs/", "--")), f"{page.name}: subtrain {verb} is no verb"
            continue
        known = {name for option in verbs[verb].params for name in (*option.opts, *option.secondary_opts)}
        for option in re.findall(r"(?<=\s)(--?[a-z][a-z-]*)", f" {given}"):
            assert option in known, f"{page.name}: subtrain {verb} has no option {option}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not link.startswith("http"):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


def test_the_architecture_page_lists_the_rooms_in_their_order():
    page = (ROOT / "docs" / "explanation" / "architecture.md").read_text()
    rooms = re.findall(r"^\| `(\w+)` \|", page, re.M)
    assert rooms == ORDER


GLOSSARY = ROOT / "docs" / "explanation" / "glossary.md"
WRITTEN = ["README.md", "CONTRIBUTING.md", "docs", "examples", "benchmarks", "src/subtrain", "web/src"]
TEXTS = (".md", ".py", ".pyi", ".ts", ".tsx", ".css", ".j2")


def forbidden_words() -> list[str]:
    """The left column of the glossary's last table."""
    table = GLOSSARY.read_text().split("## Words that are not used")[1]
    return [word for cell in re.findall(r"^\| (`.*?) \|", table, re.M) for word in re.findall(r"`([^`]+)`", cell)]


def written(path: Path) -> str:
    """A file's text, but for the names of version 0.1 that still lead to what replaces them."""
    return re.sub(r"^_OLD = .*$", "", path.read_text(), flags=re.M)


def test_no_text_uses_a_word_that_the_glossary_rules_out():
    words = forbidden_words()
    assert "jury" in words
    pattern = re.compile(r"\b(" + "|".join(words) + r")\b", re.I)
    trees = [ROOT / name for name in WRITTEN]
    files = [path for tree in trees for path in ([tree] if tree.is_file() else tree.rglob("*"))]
    texts = [path for path in files if path.suffix in TEXTS and path != GLOSSARY]
    assert len(texts) > 300
    found = {f"{path.relative_to(ROOT)}: {hit[0]}" for path in texts for hit in pattern.finditer(written(path))}
    assert found == set()


def linked_files() -> set[Path]:
    """Every file that a page, or the README of the benchmarks, links to or shows."""
    pages = [*PAGES, *(ROOT / "benchmarks" / "results").glob("*.md")]
    return {
        (page.parent / link).resolve() for page in pages for link in re.findall(r"\]\(([^)#\s]+)", page.read_text())
    }


@pytest.mark.parametrize("kind", ["docs/**/*.png", "benchmarks/*.py", "benchmarks/results/*.md"])
def test_no_picture_benchmark_or_result_is_an_orphan(kind):
    files = set(ROOT.glob(kind))
    assert len(files) > 5
    assert files - linked_files() == set()
