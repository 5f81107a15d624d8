"""The explorer on a synthetic study of 10,000 targets x 50,000 units.

Making its sidecar, the API under 8 parallel users, and, where Playwright and Chromium are, the first view and the
switch from target to target in a real browser.

Usage: python benchmarks/explorer.py [--quick] [--out benchmarks/results/explorer.json]
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import machine
import numpy as np

from subtrain import Design, Study
from subtrain.collection import train_segment
from subtrain.store.protocol import put_json

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
USERS = 8
SIZES = {"full": (10_000, 50_000, 256, 64, 200), "quick": (300, 2_000, 64, 16, 20)}


def build(folder: Path, targets: int, n: int, models: int, heldout: int) -> Study:
    """A study of random outputs, and a fit of 300 weights a target that fall off like a power law."""
    name = f"{Path(__file__).resolve().parent / 'synthetic.py'}:task"
    design = Design(0.5, models, heldout=heldout, replicates=2, kind="fixed")
    study = Study.create(folder, name, design, params={"n": n, "targets": targets}, segment=64)
    (folder / "segments").mkdir()
    for where in study.segments:
        train_segment(study, where)
    fit = folder / "fits" / "default"
    fit.mkdir(parents=True)
    weight = np.lib.format.open_memmap(fit / "weight.npy", mode="w+", dtype=np.float32, shape=(n, targets))
    rng = np.random.default_rng(0)
    sizes = (0.1 / np.arange(1, 301) ** 0.7).astype(np.float32)
    for start in range(0, targets, 512):
        count = min(512, targets - start)
        block = np.zeros((n, count), np.float32)
        for column in range(count):
            block[rng.choice(n, 300, replace=False), column] = sizes * rng.choice([-1, 1], 300, p=[0.35, 0.65])
        weight[:, start : start + count] = block
    weight.flush()
    np.save(fit / "bias.npy", np.zeros(targets))
    np.save(fit / "lam.npy", np.full(targets, 0.01))
    put_json(study.store, "fits/default/datamodels.json", {"output": "test_margins", "models": models})
    return study


def start(folder: Path) -> tuple[subprocess.Popen, str, float]:
    """The server, its address, and the seconds until it said where it is; the first start makes the sidecar."""
    began = time.monotonic()
    command = [sys.executable, "-m", "subtrain", "explore", str(folder), "--port", "0", "--no-browser"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    address = next(found[1] for line in server.stdout if (found := re.search(r"http://(\S+)/", line)))
    return server, address, round(time.monotonic() - began, 2)


def stop(server: subprocess.Popen) -> float:
    """End the server; returns the most memory it had at once that no file stands behind, in MB."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    server.terminate()
    server.wait()
    server.stdout.close()
    mapped = sum(int(found) for found in re.findall(r"RssFile:\s+(\d+)", status))
    peak = int(re.search(r"VmHWM:\s+(\d+)", status)[1])
    return round(max(peak - mapped, 0) / 1000)


def question(rng: random.Random, targets: int, n: int) -> tuple[str, str, str, dict | None]:
    """What a person asks: mostly targets, some gallery pages, units and what-ifs. (kind, method, path, body)."""
    kind = rng.choices(("target", "gallery", "unit", "whatif", "weights", "status"), (40, 20, 15, 15, 7, 3))[0]
    t, u = rng.randrange(targets), rng.randrange(n)
    sort = rng.choice(("target", "-lds", "margin", "-support", "-leakage"))
    return {
        "target": (kind, "GET", f"/api/targets/{t}", None),
        "gallery": (kind, "GET", f"/api/targets?sort={sort}&offset={rng.randrange(targets)}&limit=60", None),
        "unit": (kind, "GET", f"/api/units/{u}", None),
        "whatif": (kind, "POST", f"/api/targets/{t}/whatif", {"removed": rng.sample(range(n), 20)}),
        "weights": (kind, "GET", f"/api/targets/{t}/weights?limit=1000", None),
        "status": (kind, "GET", "/api/status", None),
    }[kind]


def user(address: str, seed: int, count: int, targets: int, n: int, took: list[tuple[str, float]]) -> None:
    rng = random.Random(seed)
    connection = http.client.HTTPConnection(address)
    for _ in range(count):
        kind, method, path, body = question(rng, targets, n)
        began = time.perf_counter()
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, {"content-type": "application/json"} if data else {})
        answer = connection.getresponse()
        content = answer.read()
        took.append((kind, 1000 * (time.perf_counter() - began)))
        assert answer.status == 200, content[:200]
    connection.close()


def ask(address: str, targets: int, n: int, each: int) -> dict[str, dict[str, float]]:
    """p50 and p99 in milliseconds, of all questions and by kind, of 8 users who ask without a pause."""
    took: list[tuple[str, float]] = []
    users = [threading.Thread(target=user, args=(address, seed, each, targets, n, took)) for seed in range(USERS)]
    began = time.monotonic()
    for one in users:
        one.start()
    for one in users:
        one.join()
    seconds = time.monotonic() - began
    kinds = {"all": [ms for _, ms in took]} | {k: [ms for kind, ms in took if kind == k] for k, _ in sorted(set(took))}
    found = {k: {"n": len(v), "p50": _ms(v, 50), "p99": _ms(v, 99)} for k, v in kinds.items()}
    return found | {"a second": {"answers": round(len(took) / seconds, 1)}}


def _ms(values: list[float], percentile: float) -> float:
    return round(float(np.percentile(values, percentile)), 1)


def browse(address: str, switches: int) -> dict[str, float]:
    """Milliseconds to the first tile of the gallery in a new browser window, and from one target to the next."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started, tempfile.TemporaryDirectory() as folder:
        context = started.chromium.launch_persistent_context(
            folder, executable_path=CHROMIUM, headless=True, args=FLAGS
        )
        page = context.new_page()
        first = []
        for _ in range(3):
            page.goto("about:blank")
            began = time.perf_counter()
            page.goto(f"http://{address}/#/targets")
            page.locator(".tile").first.wait_for()
            first.append(1000 * (time.perf_counter() - began))
        page.goto(f"http://{address}/#/target/0")
        _shows(page, 0)
        took = []
        for target in range(1, switches + 1):
            began = time.perf_counter()
            page.evaluate(f"location.hash = '#/target/{target}'")
            _shows(page, target)
            took.append(1000 * (time.perf_counter() - began))
        context.close()
    return {
        "first view, first time": round(first[0]),
        "first view, again": round(min(first[1:])),
        "target switch p50": _ms(took, 50),
        "target switch p99": _ms(took, 99),
    }


def _shows(page, target: int) -> None:
    """Wait for a target's page, down to its most helpful units."""
    page.locator("h1").filter(has_text=re.compile(rf"\b{target}\b")).wait_for()
    page.get_by_role("region", name="Most helpful").locator("li").first.wait_for()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="300 targets x 2,000 units, a few questions")
    parser.add_argument("--out", type=Path, help="where to write what was measured, as JSON")
    parser.add_argument("--folder", type=Path, help="where the study is made and kept; by default a temporary folder")
    options = parser.parse_args()
    targets, n, models, heldout, each = SIZES["quick" if options.quick else "full"]
    folder = options.folder or Path(tempfile.mkdtemp(prefix="explorer-"))
    if not (folder / "study.json").exists():
        build(folder, targets, n, models, heldout)
    found = {"targets": targets, "units": n, "users": USERS, "cpu": machine.cpu(), "cores": machine.cores()}
    server, address, seconds = start(folder)
    found |= {"first start, s": seconds, "first start, peak MB without mapped files": stop(server)}
    server, address, seconds = start(folder)
    found["start, s"] = seconds
    try:
        found["API, ms"] = ask(address, targets, n, each)
        if find_spec("playwright") and shutil.which(CHROMIUM):
            found["browser, ms"] = browse(address, min(50, targets - 1))
        else:
            found["browser, ms"] = "not measured: no Playwright or no Chromium (tests/services/install-browser.sh)"
    finally:
        found["peak MB without mapped files"] = stop(server)
    found["load"] = machine.load()
    print(json.dumps(found, indent=1, ensure_ascii=False))
    if options.out:
        options.out.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if options.folder is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
