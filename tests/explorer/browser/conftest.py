"""The explorer in a real browser. Nothing is installed here: see tests/services/install-browser.sh."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from subtrain import Design, MeanDifference, Ridge, Study, fit
from subtrain.collection import train_segment
from subtrain.fits import save_fit

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
SIZES = {"laptop": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 844}}


def pytest_collection_modifyitems(items) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.services)


@pytest.fixture(scope="session")
def study(tmp_path_factory) -> Study:
    """A small study of real digits, collected and fitted twice."""
    path = tmp_path_factory.mktemp("browser") / "digits"
    task = f"{Path(__file__).parent / 'small_digits.py'}:task"
    made = Study.create(path, task, Design(models=400, heldout=20, replicates=2, seed=1), segment=110)
    (made.path / "segments").mkdir()
    for where in made.segments:
        train_segment(made, where)
    save_fit(made, fit(made, "test_margins", Ridge()))
    save_fit(made, fit(made, "test_margins", MeanDifference()), "simple")
    return made


@pytest.fixture(scope="session")
def address(study) -> Iterator[str]:
    """Where `subtrain explore` serves the study."""
    pytest.importorskip("uvicorn")
    command = [sys.executable, "-m", "subtrain", "explore", str(study.path), "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield next(found[0] for line in server.stdout if (found := re.search(r"http://\S+/", line)))
        finally:
            server.terminate()


@contextmanager
def served(study: Study) -> Iterator[str]:
    """The address of an explorer of this study in a thread of this process."""
    uvicorn = pytest.importorskip("uvicorn")
    from subtrain.explorer.open_studies import Library
    from subtrain.explorer.server.app import make_app

    server = uvicorn.Server(uvicorn.Config(make_app(Library({"": study}, None)), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.05)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def serve() -> Any:
    """serve(study): a context whose value is the address of an explorer of the study."""
    return served


@pytest.fixture(scope="session")
def nasty_address(world) -> Iterator[str]:
    """Where the planted study with HTML in its labels and texts is served; its task cannot be made again."""
    with served(Study.open(world.path)) as home:
        yield home


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="tests/services/install-browser.sh has not been run: no playwright"
    )
    if shutil.which(CHROMIUM) is None:
        pytest.skip("tests/services/install-browser.sh has not been run: no Chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Watched:
    """A page, with what its console complained of and what it asked of anybody but `home`."""

    page: Any
    home: str
    complaints: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self._asked(request.url))

    def _asked(self, url: str) -> None:
        if not url.startswith((self.home, "data:", "blob:")):
            self.strangers.append(url)

    def open(self, view: str = "") -> Any:
        """Go to a view by its address and wait until it has nothing more to read or compute (save a learning curve)."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.home}#/{view}")
        self.settle()
        return self.page

    def settle(self) -> None:
        self.page.wait_for_selector("h1")
        self.until("!/Reading .*…|Computing (?!fits)/.test(document.body.innerText)")

    def until(self, condition: str, seconds: float = 90) -> None:
        """Wait for a condition in JavaScript; the page's own policy forbids Playwright's way, which is to eval."""
        end = time.monotonic() + seconds
        while not self.page.evaluate(condition):
            assert time.monotonic() < end, f"this never came true: {condition}"
            self.page.wait_for_timeout(50)

    def tiles(self, count: int) -> None:
        """Wait until so many tiles are shown."""
        self.until(f"document.querySelectorAll('.tile').length === {count}")


@pytest.fixture
def watch(chromium) -> Iterator[Any]:
    """watch(home, size, scheme): a page in a window of its own; in the end it must have kept quiet and to itself."""
    opened: list[Watched] = []

    def start(home: str, size: str = "laptop", scheme: str = "light") -> Watched:
        context = chromium.new_context(viewport=SIZES[size], color_scheme=scheme, accept_downloads=True)
        context.set_default_timeout(60_000)
        opened.append(Watched(context.new_page(), home))
        return opened[-1]

    yield start
    for watched in opened:
        watched.page.context.close()
        assert not watched.complaints
        assert not watched.strangers


@pytest.fixture
def explorer(watch, address) -> Watched:
    """The explorer of the digits on a laptop."""
    return watch(address)
