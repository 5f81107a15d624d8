"""Status as a text file that Prometheus' node exporter picks up."""

from __future__ import annotations

from pathlib import Path

from subtrain.collection.status import Status
from subtrain.store import atomic_files
from subtrain.system.paths import local_path


def write_prometheus(status: Status, path: str | Path) -> None:
    """Write the text exposition format, whole or not at all."""
    atomic_files.replace(
        local_path(path), lambda file: file.write(exposition(status).encode(errors="replace")), durable=False
    )


def exposition(status: Status) -> str:
    """Gauges named subtrain_…, labeled with the study and where it applies the host."""
    study = {"study": status.path}
    gauges: dict[str, tuple[str, list[tuple[dict[str, str], float]]]] = {
        "models": ("Models of the study.", [(study, status.models)]),
        "models_done": ("Models whose outputs are committed.", [(study, status.done)]),
        "models_running": (
            "Models in segments under way, by host.",
            [(study | {"host": host.host}, host.running) for host in status.hosts],
        ),
        "models_failed": ("Models given up, and not trained since.", [(study, len(status.failed))]),
        "models_per_second": ("Models that landed over the last minutes.", [(study, status.rate)]),
        "bytes_done": ("Bytes of committed segments.", [(study, status.bytes_done)]),
        "bytes_to_come": ("Bytes of outputs still to come.", [(study, status.bytes_to_come)]),
        "runners": ("Collections at work.", [(study, len(status.runners))]),
    }
    if status.eta_seconds is not None:
        gauges["eta_seconds"] = ("Seconds to go at the recent rate.", [(study, status.eta_seconds)])
    lines = []
    for name, (about, samples) in gauges.items():
        lines += [f"# HELP subtrain_{name} {about}", f"# TYPE subtrain_{name} gauge"]
        lines += [f"subtrain_{name}{{{_labels(labels)}}} {value:.15g}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _labels(labels: dict[str, str]) -> str:
    def escaped(value: str) -> str:
        return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

    return ",".join(f'{name}="{escaped(value)}"' for name, value in labels.items())
