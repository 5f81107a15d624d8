"""What the README and the pages say is true: the program runs, commands exist, links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from subtrain.cli.main import main  # noqa: F401  registers the verbs
from subtrain.cli.shared.app import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_five_lines_of_the_readme_run(tmp_path):
    program = re.findall(r"```python\n(.*?)```", PAGES[0].read_text(), re.S)[0]
    assert "models=5000" in program
    small = program.replace("models=5000", "models=300, heldout=20")
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
