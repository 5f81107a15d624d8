"""A Ray cluster of two nodes on loopback addresses, each its own process tree, with token authentication."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from processes import running, wait_until

HEAD, WORKER = "127.0.0.2", "127.0.0.3"
ROOT = Path(__file__).parents[2]


def free_port() -> int:
    """A port of the head's address that nobody uses just now."""
    with socket.socket() as probe:
        probe.bind((HEAD, 0))
        return probe.getsockname()[1]


def descendants(pid: int) -> list[int]:
    """The processes below this one, the nearest first."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            parents.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += parents.get(one, [])
    return found[1:]


def named(pid: int, name: str) -> list[int]:
    """Those processes below this one whose command line says `name`."""
    found = []
    for one in descendants(pid):
        try:
            if name in Path(f"/proc/{one}/cmdline").read_text():
                found.append(one)
        except OSError:
            continue
    return found


class TwoNodes:
    """A head and a worker node with one CPU each; `with TwoNodes(folder) as nodes:`."""

    def __init__(self, folder: Path) -> None:
        # Sockets have short paths, and what Ray leaves lying about is removed with the folder.
        self.temp = tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True)
        self.logs, self.port = folder, free_port()
        self.address = f"{HEAD}:{self.port}"
        self.nodes: dict[str, subprocess.Popen[bytes]] = {}
        token = folder / "token"
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
        self.environment = {
            **os.environ,
            "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_USAGE_STATS_ENABLED": "0",
            "OMP_NUM_THREADS": "1",
        }

    def __enter__(self) -> TwoNodes:
        try:
            head = ["--head", f"--port={self.port}", "--include-dashboard=false", f"--temp-dir={self.temp.name}"]
            self.start(HEAD, *head)
            wait_until(self._answers, 60)
            self.start(WORKER, f"--address={self.address}")
            wait_until(lambda: "Ray runtime started" in (self.logs / f"{WORKER}.log").read_text(), 60)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for node in list(self.nodes):
            self.remove(node)
        self.temp.cleanup()

    def start(self, address: str, *options: str, before: tuple[str, ...] = ()) -> None:
        """Start a node at this address; `before`: a command that runs it."""
        ray = Path(sys.executable).parent / "ray"
        command = [*before, str(ray), "start", "--block", f"--node-ip-address={address}", "--num-cpus=1"]
        with (self.logs / f"{address}.log").open("wb") as log:
            self.nodes[address] = subprocess.Popen(
                [*command, "--disable-usage-stats", *options], env=self.environment, stdout=log, stderr=log
            )

    def remove(self, address: str) -> None:
        """End a node at once, with SIGKILL to all of its processes, its raylet first."""
        node = self.nodes.pop(address)
        victims = [*named(node.pid, "raylet/raylet"), *descendants(node.pid), node.pid]
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        node.wait()
        wait_until(lambda: not any(running(pid) for pid in victims))

    def kill_raylet(self, address: str) -> None:
        """SIGKILL the node's raylet alone: what it had started is left to find out."""
        for pid in named(self.nodes[address].pid, "raylet/raylet"):
            os.kill(pid, signal.SIGKILL)

    def subtrain(self, *words: object, **options: object) -> subprocess.Popen[str]:
        """The command line, as a driver on the head node."""
        # Whoever runs the tests in the background of a script has them ignore SIGINT, and all that they start.
        return subprocess.Popen(
            ["env", "--default-signal=INT", sys.executable, "-m", "subtrain", *map(str, words)],
            env={**self.environment, **options.pop("env", {})},  # type: ignore[dict-item]
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **options,  # type: ignore[call-overload]
        )

    def _answers(self) -> bool:
        time.sleep(0.1)
        try:
            socket.create_connection((HEAD, self.port), timeout=1).close()
        except OSError:
            return False
        return "Ray runtime started" in (self.logs / f"{HEAD}.log").read_text()
