"""A file of more than 5 GB in the layout of the published data, streamed from a paid bucket into a fit.

    python benchmarks/public_stream.py             # FMoW's masks at 75 %: 310,000 x 21,404, 6.6 GB; some minutes
    python benchmarks/public_stream.py --quick     # does it run? Writes only to --out

Masks and margins of true header, dtype and order are made in a folder; a server on loopback hands them out in ranges
as S3 does, and answers 403 to whoever does not say that he pays. One process fits from the bucket, another the same
from the folder, each in one pass in which masks are packed and counted as they come. Peak memory is the most that a
process held (VmHWM), the interpreter and the compiled kernels in it. Both fits must give the same weights.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import numpy as np
from large import peak_memory
from machine import cores, cpu, load, versions

RESULTS = Path(__file__).parent / "results"
CHUNK = 2048
MEMORY = 3 * 2**30


@dataclass(frozen=True)
class Work:
    models: int
    heldout: int
    units: int
    targets: int
    support: int
    lambdas: int


QUICK = Work(6_000, 500, 700, 8, 10, 20)
FULL = Work(300_000, 10_000, 21_404, 100, 30, 50)
KEYS = {kind: f"fmow/data/{kind}_75pct.npy" for kind in ("train_masks", "test_margins")}


def make(work: Work, folder: Path) -> None:
    """The two files and their catalogue: margins depend on `support` units each, and on noise of the same variance."""
    random = np.random.default_rng(0)
    rows = work.models + work.heldout
    shapes = {"train_masks": [rows, work.units], "test_margins": [rows, work.targets]}
    types = {"train_masks": np.dtype(bool), "test_margins": np.dtype(np.float16)}
    arrays = {}
    for kind, key in KEYS.items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        arrays[kind] = np.lib.format.open_memmap(folder / key, "w+", types[kind], tuple(shapes[kind]))
    weight = np.zeros((work.units, work.targets), np.float32)
    for t in range(work.targets):
        weight[random.choice(work.units, work.support, replace=False), t] = random.choice([-1.0, 1.0], work.support)
    used = np.flatnonzero(weight.any(axis=1))
    for start in range(0, rows, CHUNK):
        stop = min(start + CHUNK, rows)
        noise = np.frombuffer(random.bytes((stop - start) * work.units), np.uint8)
        masks = (noise < 192).reshape(-1, work.units)
        noise = random.normal(size=(stop - start, work.targets)) * np.sqrt(work.support * 3 / 16)
        arrays["train_masks"][start:stop] = masks
        arrays["test_margins"][start:stop] = masks[:, used].astype(np.float32) @ weight[used] + noise
    for array in arrays.values():
        array.flush()
    about = {"title": "FMoW", "units": work.units, "targets": work.targets, "heldout": work.heldout}
    files = [
        {
            "key": KEYS[kind],
            "dataset": "fmow",
            "kind": kind,
            "pct": 75,
            "shape": shapes[kind],
            "dtype": types[kind].name,
        }
        for kind in KEYS
    ]
    data = {"format": 1, "name": "a mirror", "datasets": {"fmow": about}, "files": files, "sources": {}}
    for name, address, pays in (("bucket", "s3://mirror", True), ("folder", ".", False)):
        rates = {"rates": {"per_gib": 0.09}} if pays else {}
        told = data | {"address": address, "requester_pays": pays} | rates
        (folder / f"{name}.json").write_text(json.dumps(told))


class Server(ThreadingHTTPServer):
    """The folder as a bucket whose reader pays: GET of ranges, pinned by If-Match."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.sent, self.requests = folder, Counter(), Counter()
        self.lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        key = unquote(self.path.partition("?")[0]).removeprefix("/mirror/")
        path = self.server.folder / key
        if self.headers.get("x-amz-request-payer") != "requester" or key not in KEYS.values():
            self.answer(403)
            return
        size = path.stat().st_size
        tag = f'"{hashlib.md5(f"{key} {size}".encode()).hexdigest()}-9"'
        if self.headers.get("If-Match", tag) != tag:
            self.answer(412)
            return
        start, last = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"]).groups())
        stop = min(last + 1, size)
        self.send_response(206)
        self.send_header("Content-Length", str(stop - start))
        self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        self.send_header("ETag", tag)
        self.send_header("Last-Modified", "Thu, 01 Jan 1970 00:00:00 GMT")
        self.end_headers()
        self.wfile.flush()
        with path.open("rb") as file:
            self.connection.sendfile(file, start, stop - start)
        with self.server.lock:
            self.server.sent[key] += stop - start
            self.server.requests[key] += 1

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


def fit(work: Work, folder: Path, name: str) -> dict:
    """What a child process does and measures: one fit, from the bucket or from the folder."""
    import subtrain as st
    from subtrain import public

    models = public.open("fmow", 0.75, catalogue_file=folder / f"{name}.json", max_cost=5.0)
    before, began = peak_memory(), time.perf_counter()
    dm = public.fit(models, estimator=st.Lasso(lambdas=work.lambdas, early_stop=2))
    seconds = time.perf_counter() - began
    np.save(folder / f"{name}-weight.npy", dm.weight)
    return {
        "seconds": seconds,
        "before": before,
        "peak": peak_memory(),
        "dollars": models.spent,
        "gap": dm.meta["gap_max"],
    }


def child(work: Work, folder: Path, name: str, **environment: str) -> dict:
    command = [sys.executable, __file__, "--child", name, "--folder", str(folder), "--work", json.dumps(asdict(work))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, **environment})
    return json.loads(done.stdout.splitlines()[-1])


def measure(work: Work, folder: Path) -> dict:
    make(work, folder)
    before = load()
    # The first process compiles the kernels for all that follow; its figures are not kept.
    child(work, folder, "folder")
    server = Server(folder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ALLOW_HTTP": "true"}
    url = f"http://127.0.0.1:{server.server_port}"
    bucket = child(work, folder, "bucket", AWS_ENDPOINT_URL=url, AWS_REGION="us-east-1", **keys)
    server.shutdown()
    local = child(work, folder, "folder")
    weights = [np.load(folder / f"{name}-weight.npy") for name in ("bucket", "folder")]
    sizes = {kind: (folder / key).stat().st_size for kind, key in KEYS.items()}
    row = {"train_masks": work.units, "test_margins": 2 * work.targets}
    return {
        **asdict(work),
        "file_bytes": sizes,
        "asked_over_fitting_rows": {kind: server.sent[key] / (work.models * row[kind]) for kind, key in KEYS.items()},
        "requests": {kind: server.requests[key] for kind, key in KEYS.items()},
        "bucket": bucket,
        "folder": local,
        "bucket_over_folder_seconds": bucket["seconds"] / local["seconds"],
        "peak_over_masks_file": bucket["peak"] / sizes["train_masks"],
        "within_3_GiB": bucket["peak"] <= MEMORY,
        "same_weights": bool(np.array_equal(*weights)),
        "load_before": before,
        "machine": f"{cpu()}, {cores()} cores; {versions('numpy', 'numba', 'obstore')}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small; writes only to --out")
    parser.add_argument("--folder", type=Path, help="where the files go (7 GB), by default the temporary folder")
    parser.add_argument("--out", type=Path, help="folder of the results")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(fit(Work(**json.loads(given.work)), given.folder, given.child)))
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        found = measure(QUICK if given.quick else FULL, Path(folder))
    print(json.dumps(found, indent=1))
    out = given.out or (None if given.quick else RESULTS)
    if out:
        out.mkdir(parents=True, exist_ok=True)
        (out / "public_stream.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
