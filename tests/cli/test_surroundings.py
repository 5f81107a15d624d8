"""What surrounds the program (encodings, closed streams, backends, homes, signals) never ends it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from commands import ok, run
from processes import running, wait_until

MODULE = "\n".join(
    [
        "import time, numpy as np, subtrain as st",
        "w = np.random.default_rng(0).normal(size=20)",
        "def train(indices, seed):",
        "    print('trained on é ✓')",
        "    time.sleep(PAUSE)",
        "    return {'test_margins': [w[indices].sum()]}",
        "task = st.tasks.function(train, n=20, outputs={'test_margins': st.Output([1], 'float32')}, data=[w])",
    ]
)
BARE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
NOTEBOOK = {"MPLBACKEND": "module://no_such_backend_here"}


def around(**variables):
    return {**os.environ, **variables}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A study that was made in a folder with an accent in its name, without any UTF-8 around."""
    folder = tmp_path_factory.mktemp("ça")
    (folder / "mycode.py").write_text(MODULE.replace("PAUSE", "0"), encoding="utf-8")
    words = ("--task", "mycode.py:task", "--models", 60, "--heldout", 10, "--segment", 16)
    ok("create", folder / "r", *words, cwd=folder, env=around(**BARE))
    ok("collect", folder / "r", "--workers", 1, env=around(**BARE))
    ok("fit", folder / "r", env=around(**BARE))
    return folder / "r"


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("ascii", ["fit", "--help"]),
        ("ascii", ["evaluate"]),
        ("ascii", ["evaluate", "--json"]),
        ("latin-1", ["--help"]),
        ("cp1252", ["neighbors"]),
    ],
)
def test_any_output_takes_every_word(fitted, encoding, words):
    words = words if "--help" in words else [words[0], fitted, *words[1:]]
    done = subprocess.run(
        [sys.executable, "-m", "subtrain", *map(str, words)],
        capture_output=True,
        env=around(PYTHONIOENCODING=encoding),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    done.stdout.decode(encoding)
    assert b"Traceback" not in done.stderr


def test_what_training_prints_is_kept_as_it_was(fitted):
    said = "".join(log.read_text(encoding="utf-8") for log in (fitted / "logs").iterdir())
    assert said.count("trained on é ✓") == 80


def test_a_name_that_is_no_text(tmp_path):
    strange = os.fsencode(tmp_path) + b"/a\xff\xe9"
    done = subprocess.run([sys.executable, "-m", "subtrain", "status", strange], capture_output=True, check=False)
    assert done.returncode == 2
    assert b"is not a study" in done.stderr


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_closed_streams(fitted, closed):
    line = f'exec "$0" -m subtrain report "$1" {closed}'
    (fitted / "report.html").unlink(missing_ok=True)
    done = subprocess.run(["/bin/sh", "-c", line, sys.executable, str(fitted)], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert (fitted / "report.html").exists()


@pytest.mark.parametrize(
    "variables",
    [
        NOTEBOOK,
        {"MPLBACKEND": "nonsense"},
        {"COLUMNS": "0"},
        {"COLUMNS": "1", "TERM": "what-is-this"},
        {"TZ": "No/Zone"},
    ],
)
def test_odd_variables(fitted, tmp_path, variables):
    out = ok("neighbors", fitted, "--targets", 0, "--out", tmp_path / "n.png", env=around(**variables))
    assert (tmp_path / "n.png").read_bytes()[:4] == b"\x89PNG"
    assert "n.png" in "".join(out.split())


def test_figures_in_python_need_no_backend_and_keep_the_one_that_was_set(fitted):
    code = "\n".join(
        [
            "import sys, subtrain as st",
            "from subtrain.fits import load_fit",
            "study = st.Study.open(sys.argv[1])",
            "st.neighbors(load_fit(study), study, targets=[0]).figure().savefig('n.svg')",
            "import matplotlib",
            "print(matplotlib.rcParams._get('backend'))",
        ]
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(fitted)],
        capture_output=True,
        text=True,
        env=around(MPLBACKEND="pdf"),
        cwd=fitted,
        check=False,
    )
    assert done.stdout.strip() == "pdf", done.stderr
    done = subprocess.run(
        [sys.executable, "-c", code, str(fitted)], capture_output=True, env=around(**NOTEBOOK), cwd=fitted, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_current_folder_that_is_gone(tmp_path):
    line = 'mkdir "$1/gone"; cd "$1/gone"; rmdir "$1/gone"; exec "$0" -m subtrain create "$1/$2" --task "$3"'
    words = ["/bin/sh", "-c", line, sys.executable, str(tmp_path)]
    done = subprocess.run([*words, "own", "mine:task"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "the current folder is gone" in done.stderr
    done = subprocess.run([*words, "built-in", "digits"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, "nothing there is needed"


def test_no_home_and_no_name(fitted, tmp_path):
    bare = {k: v for k, v in os.environ.items() if k not in ("HOME", "USER", "LOGNAME", "XDG_CACHE_HOME")}
    ok("report", fitted, "--out", tmp_path / "page.html", env=bare)


def test_tilde_is_the_home_folder(fitted, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "task.py").write_text(MODULE.replace("PAUSE", "0"), encoding="utf-8")
    inside = tmp_path / "elsewhere"
    inside.mkdir()
    for words in (
        ["create", "~/r", "--task", "~/task.py:task", "--models", 16],
        ["status", "~/r", "--prometheus=~/r.prom"],
        ["report", fitted, "--out=~/page.html"],
        ["neighbors", fitted, "--targets", 0, "--out=~/n.csv"],
        ["explore", fitted, "--export=~/explorer.html"],
        ["export", fitted, "~/out"],
        ["import", "~/again", "~/out/r"],
        ["fit", "~/again"],
    ):
        ok(*words, cwd=inside)
    for name in ("r/study.json", "r.prom", "page.html", "n.csv", "explorer.html", "out/r/data", "again/fits/default"):
        assert (tmp_path / name).exists(), name
    assert list(inside.iterdir()) == []


def test_tilde_in_python(monkeypatch, tmp_path, make_study):
    import subtrain as st

    monkeypatch.setenv("HOME", str(tmp_path))
    study = make_study(name="mine", models=60)
    dm = st.fit(study, estimator=st.MeanDifference())
    dm.save("~/kept")
    dm.save(Path("~/kept.pt"))
    assert (st.Datamodels.load("~/kept").weight == st.Datamodels.load("~/kept.pt").weight).all()
    assert st.Study.open("~/mine").path == tmp_path / "mine"
    with pytest.raises(st.SubtrainError, match="no-such-user-here"):
        st.Study.open("~no-such-user-here/mine")


def test_an_interrupt_says_what_is_done_and_ends_the_workers(tmp_path):
    (tmp_path / "mycode.py").write_text(MODULE.replace("PAUSE", "0.02"), encoding="utf-8")
    ok("create", "r", "--task", "mycode.py:task", "--models", 2000, "--segment", 8, cwd=tmp_path)
    words = [sys.executable, "-m", "subtrain", "collect", "r", "--workers", "1"]
    with subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as collect:
        wait_until(lambda: len(list(tmp_path.glob("r/segments/*.seg"))) >= 2, 60)
        pids = [int(log.stem.rpartition("-")[2]) for log in (tmp_path / "r/logs").iterdir()]
        collect.send_signal(signal.SIGINT)
        said = collect.communicate(timeout=60)[1]
    assert collect.returncode == 130
    done = 8 * len(list(tmp_path.glob("r/segments/*.seg")))
    assert f"interrupted: {done} of 2,224 models are done and kept, and the same command goes on" in " ".join(
        said.split()
    )
    assert pids
    wait_until(lambda: not any(map(running, pids)))


def test_an_interrupt_in_python_stays_one(make_study, monkeypatch):
    from subtrain.collection.engines.local import executor

    study = make_study(done=False)

    def stop(self, tick):
        raise KeyboardInterrupt

    monkeypatch.setattr(executor.LocalExecutor, "run", stop)
    with pytest.raises(KeyboardInterrupt, match="0 of 16 models are done"):
        study.collect(workers=1, progress=False)


def test_an_early_end_of_input_is_a_sentence(tmp_path):
    (tmp_path / "asks.py").write_text("input('name? ')")
    done = run("create", "r", "--task", "asks.py:task", "--models", 16, cwd=tmp_path, stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert "EOF" in done.stderr
    assert "Traceback" not in done.stderr
