"""Every command and snippet of the README and the pages runs, and prints what its page shows, numbers aside.

The numbers on the pages come from thousands of models; here there are hundreds (see small.py). What needs a service, or
the machine of somebody else, is listed below with what holds it instead.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import warnings
from pathlib import Path

import pytest
from blocks import PAGES, ROOT, Block, Command, blocks, commands, name_of
from small import skeleton, smaller
from workspace import STUDIES, names_for, studies_for

from subtrain.collection import train_segment
from subtrain.uses import alphas, retrain

# Pages that take more than some seconds, by their path in docs/.
SLOW = {
    "README",
    "explanation/architecture",
    "explanation/regression",
    "explanation/fewer-models",
    "how-to/explorer",
    "how-to/folders-and-buckets",
    "how-to/slurm-and-other-machines",
    "how-to/your-own-training-code",
    "tutorials/first-study",
    "tutorials/own-model",
    "how-to/questions/budget",
    "how-to/questions/clusters-of-targets",
    "how-to/questions/compare",
    "how-to/questions/counterfactual",
    "how-to/questions/embedding",
    "how-to/questions/leakage",
    "how-to/questions/mislabeled",
    "how-to/questions/poison",
    "how-to/questions/select",
    "how-to/questions/support",
    "how-to/questions/units",
    "how-to/questions/valuation",
}
# What begins like this is not run here: by whom it is run, or why nobody can.
ELSEWHERE = {
    r"make |pip install|export |\(umask|seq |aws |parallel ": "the shell's, or a program's of its own",
    r"python examples/": "tests/test_examples.py and tests/test_paper_examples.py",
    r"python benchmarks/sources": "benchmarks/sources.py takes minutes",
    r"curl ": "tests/explorer/server",
    r"ray start|subtrain \w+ .*(--engine ray|RAY_)|RAY_": "tests/services/test_ray.py",
    r"subtrain collect .*--engine slurm|subtrain cancel": "tests/services/test_slurm.py",
    r"subtrain .*(s3://|/shared/)": "tests/services/test_whole_study.py and test_two_mounts.py",
    r"subtrain public": "tests/public/test_public_cli.py and tests/services/test_public_data.py",
    r"subtrain (import runs/cifar|fit runs/cifar|import-fit runs/cifar|evaluate runs/cifar)": "tests/public",
    r"subtrain create runs/cifar --task resnet9": "tests/tasks/test_cifar_tasks.py",
    r"subtrain (import-reference|collect runs/new|fit runs/so-far)": "tests/collection/test_reference_module.py",
    r"subtrain create runs/mine --task command": "tests/tasks/test_command.py",
    r"subtrain check examples/": "tests/test_examples.py",
}
# Snippets that need what is not here, or too long, by a part of their text.
ABROAD = {
    "s3://my-bucket": "tests/services",
    "GCSStore": "tests/store/test_stores.py",
    'engine="ray"': "tests/services/test_ray.py",
    "st.public.open": "tests/public",
    "cifar-10-binary": "tests/datasets",
    "st.guess(study, 20)": "tests/influence/test_torch_module.py: here it would take a minute",
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Path:
    """A folder of the studies that pages name, made once."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "runs").mkdir()
    return folder


@pytest.fixture
def desk(tmp_path, monkeypatch) -> Path:
    """A folder of the page's own to work in; retraining needs no workers there, and no page is served for ever."""

    def train_here(study, progress=True, **options):
        for where in study.segments:
            if where not in study.rows.whole():
                train_segment(study, where)

    def announce_only(library, host, port, browser, announce, **options):
        announce("http://127.0.0.1:8420/" + ("?token=…" if options.get("allow_hosts") else ""))
        for name in options.get("allow_hosts", ()):
            announce(f"https://{name}/…/?token=…")

    (tmp_path / "runs").mkdir()
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setattr(retrain, "collect", train_here)
    monkeypatch.setattr(alphas, "collect", train_here)
    monkeypatch.setattr("subtrain.explorer.serve.serve", announce_only)
    return tmp_path


def elsewhere(text: str) -> str | None:
    return next((why for start, why in ELSEWHERE.items() if re.match(start, text)), None)


def bring(text: str, page: Path, kept: Path, desk: Path) -> None:
    """Copies of the studies that are named, but for those that the page creates itself."""
    made = set(re.findall(r"create(?:\(\"| )runs/([\w-]+)", page.read_text(encoding="utf-8")))
    named = set(re.findall(r"runs/([\w-]+)", text)) | (
        {"digits"} if re.search(r"\b(study|dm)\b|out/digits", text) else set()
    )
    for name in (named & STUDIES.keys()) - made:
        if not (desk / "runs" / name).exists():
            if not (kept / "runs" / name).exists():
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    STUDIES[name](kept / "runs")
            shutil.copytree(kept / "runs" / name, desk / "runs" / name)


def run(command: Command, capsys, monkeypatch) -> None:
    from subtrain.cli.main import main

    for part in command.text.removesuffix(" &").split(" && "):
        monkeypatch.setattr(sys, "argv", shlex.split(smaller(part)))
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        assert not stop.value.code, f"{part}: {said.err}"
    printed = skeleton(f"{said.out} {said.err}".replace("\n", " "))
    for line in command.printed:
        assert skeleton(line) in printed, f"{part} does not print {line!r}, but {said.out}"


def execute(block: Block, page: str, names: dict) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(smaller(block.text), f"{page}:{block.line}", "exec"), names)


def paced(page: Path) -> object:
    """The page with its mark: those that train and retrain a lot take minutes."""
    slow = name_of(page).removeprefix("docs/").removesuffix(".md") in SLOW
    return pytest.param(page, id=name_of(page), marks=[pytest.mark.slow] if slow else [])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("page", [paced(page) for page in PAGES])
def test_page(page, kept, desk, capsys, monkeypatch):
    """First the commands, which may make the studies that the snippets open."""
    names = names_for(desk)
    for block in blocks(page):
        for command in commands(block) if block.language in ("console", "") else ():
            if elsewhere(command.text) is None:
                assert command.text.startswith("subtrain "), f"{name_of(page)}: nobody runs {command.text!r}"
                bring(command.text, page, kept, desk)
                run(command, capsys, monkeypatch)
    for block in blocks(page):
        if block.language == "python" and not any(part in block.text for part in ABROAD):
            bring(block.text, page, kept, desk)
            studies_for(block.text, names, desk)
            execute(block, name_of(page), names)
