"""Schemathesis asks the explorer everything that its OpenAPI document allows, and much that it does not."""

import subprocess
import sys
import threading
import time
from importlib.util import find_spec

import pytest

import worlds
from subtrain import Ridge, Study, fit
from subtrain.explorer.serve import library_of
from subtrain.fits import save_fit

pytestmark = [
    pytest.mark.services,
    pytest.mark.filterwarnings("ignore::subtrain.regression.fit_warnings.FitWarning"),
]
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.fixture
def address(make_study):
    uvicorn = pytest.importorskip("uvicorn")
    from subtrain.explorer.serve import _listen
    from subtrain.explorer.server.app import make_app

    study = make_study(task=worlds.linear(noise=0.1), models=60, heldout=10)
    save_fit(study, fit(study))
    save_fit(study, fit(study, estimator=Ridge()), "other")
    listening = _listen("127.0.0.1", 0)
    app = make_app(library_of(Study.open(study.path)))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    listening.close()


@pytest.mark.skipif(
    find_spec("schemathesis") is None, reason="schemathesis is not installed: tests/services/install.sh"
)
def test_nothing_makes_it_fail(address, tmp_path):
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{address}/api/openapi.json", "--checks", CHECKS]
    said = subprocess.run(
        [*command, "--max-examples", "40", "--generation-database", "none"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert said.returncode == 0, said.stdout[-6000:] + said.stderr[-2000:]
