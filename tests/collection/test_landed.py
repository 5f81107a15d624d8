"""Rates, hosts and slow segments from what lies on disk, and the file for Prometheus."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from subtrain.collection.committed_segments import Landed, landed, recent_rate
from subtrain.collection.prometheus import exposition, write_prometheus
from subtrain.collection.status import status
from subtrain.collection.workers.train_segment import record_failure, train_segment
from subtrain.system.machine import host


def landings(*at, models=10):
    return [Landed(Path(str(k)), k * models, (k + 1) * models, t, 1) for k, t in enumerate(at)]


@pytest.mark.parametrize(
    ("segments", "now", "rate"),
    [
        ([], 0.0, 0.0),
        (landings(100.0), 200.0, 0.0),
        (landings(100.0, 110.0, 120.0), 120.0, 1.0),
        (landings(100.0, 110.0, 120.0), 140.0, 0.5),
        (landings(*range(0, 10_000, 100)), 9_900.0, 0.1),
        (landings(*range(0, 1000, 10)), 990.0, 1.0),
        (landings(*range(0, 1000, 10)), 990.0 + 86_400, 0.0),
    ],
)
def test_the_rate_is_of_the_last_minutes_and_falls_when_all_stops(segments, now, rate):
    assert recent_rate(segments, now) == pytest.approx(rate, rel=0.15)


def test_models_are_counted_by_the_host_that_trained_them(make_study, monkeypatch):
    study = make_study(done=False)
    (study.path / "segments").mkdir()
    for name, where in zip(("n1", "n2", "n1"), study.segments, strict=False):
        monkeypatch.setenv("SLURMD_NODENAME", name)
        train_segment(study, where)
    record_failure(study, study.segments[3], study.segments[3][0], 1, "ValueError: bad", "")
    monkeypatch.delenv("SLURMD_NODENAME")
    (study.path / "segments" / ".half.tmp").touch()
    now = status(study)
    count = [stop - start for start, stop in study.segments]
    assert [(h.host, h.done, h.failed) for h in now.hosts] == [("n1", count[0] + count[2], 1), ("n2", count[1], 0)]
    assert now.hosts_of == now.done == sum(one.models for one in landed(study))
    assert {one.host for one in now.slowest} <= {"n1", "n2"}


def test_the_file_for_prometheus_is_whole_and_well_formed(make_study, tmp_path):
    study = make_study(name='a "study"')
    file = tmp_path / "subtrain.prom"
    write_prometheus(status(study), file)
    text = file.read_text()
    assert not list(tmp_path.glob("*.tmp"))
    assert text == exposition(status(study))
    for line in text.splitlines():
        assert re.fullmatch(r'# (HELP|TYPE) subtrain_\w+ .+|subtrain_\w+\{(\w+="(\\.|[^"\\])*",?)+\} [\d.e+-]+', line)
    assert f'subtrain_models_done{{study="{tmp_path}/a \\"study\\""}} 16' in text
    assert f'host="{host()}"' in text


def test_watch_ends_when_nothing_is_missing(make_study, tmp_path):
    study = make_study()
    words = [sys.executable, "-m", "subtrain", "status", study.path, "--watch", "--prometheus", tmp_path / "p"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "10 of 10" in done.stdout
    assert (tmp_path / "p").exists()
