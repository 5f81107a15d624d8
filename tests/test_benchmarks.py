"""The benchmarks are run by hand; here, that each can be started: what it imports is there."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.skipif(not FOLDER.is_dir(), reason="the benchmarks are not part of what was installed")
def test_every_benchmark_imports_what_it_uses():
    pytest.importorskip("torch")
    names = sorted(path.stem for path in FOLDER.glob("*.py"))
    assert "better" in names
    code = f"import importlib\nfor name in {names}:\n    importlib.import_module(name)"
    done = subprocess.run([sys.executable, "-c", code], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not FOLDER.is_dir(), reason="the benchmarks are not part of what was installed")
def test_the_comparison_of_attribution_methods_runs_without_its_peers():
    pytest.importorskip("torch")
    code = "import attribution\nattribution.find_spec = lambda name: None\nattribution.main()"
    asked = [sys.executable, "-c", code, "--quick"]
    done = subprocess.run(asked, cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # The table of two models is judged, and of each peer the page says that it is not there.
    assert "| `st.guess` | 2 | 0." in done.stdout
    assert done.stdout.count("not installed") == 5
