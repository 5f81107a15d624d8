"""The explorer behind nginx, under a path and a name of the proxy's, as JupyterHub and code-server make it known.

What those two do was looked at with jupyter-server-proxy 4: /user/ann/proxy/PORT takes the path away and also answers
without its last slash, /user/ann/proxy/absolute/PORT leaves the path, and both pass the browser's own Host on. Others,
nginx as it comes and ssh among them, put the server's address in place of Host.
"""

import re
import shutil
import socket
import subprocess
import sys
import time

import pytest

NGINX = "/usr/sbin/nginx"
CONFIG = """
worker_processes 1; error_log {here}/error.log; pid {here}/pid; daemon off;
events {{ worker_connections 64; }}
http {{ access_log off; client_body_temp_path {here}/b; proxy_temp_path {here}/p; fastcgi_temp_path {here}/f;
  uwsgi_temp_path {here}/u; scgi_temp_path {here}/s;
  server {{ listen 127.0.0.1:{port};
    location /user/ann/proxy/1 {{ rewrite ^/user/ann/proxy/1/?(.*)$ /$1 break; proxy_pass http://127.0.0.1:{stripped};
      proxy_set_header Host $http_host; }}
    location /user/ann/proxy/absolute/1/ {{ proxy_pass http://127.0.0.1:{absolute}; proxy_set_header Host $http_host; }}
    location /own-host/ {{ proxy_pass http://127.0.0.1:{stripped}/; }}
  }} }}
"""


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture(scope="module")
def explore(study, tmp_path_factory):
    """explore(*options): the port and the token of a `subtrain explore` of a copy, behind a proxy known as a hub."""
    started = []
    copy = tmp_path_factory.mktemp("proxied") / "digits"
    shutil.copytree(study.path, copy)

    def start(*options):
        command = [sys.executable, "-m", "subtrain", "explore", str(copy), "--port", "0", "--no-browser"]
        command += ["--allow-host", "hub.localhost", *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        for line in process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:(\d+)/\S*\?token=(\S+)", line):
                return int(found[1]), found[2]
        raise AssertionError(f"it ended with {process.wait()}")

    yield start
    for process in started:
        process.terminate()
        process.wait(timeout=30)
        process.stdout.close()


@pytest.fixture(scope="module")
def hub(explore, tmp_path_factory):
    """The address of the proxy, as a browser has it, and the tokens of the servers behind its paths."""
    if shutil.which(NGINX) is None:
        pytest.skip("tests/services/install-browser.sh has not been run: no nginx")
    here, port = tmp_path_factory.mktemp("nginx"), free_port()
    stripped, token = explore()
    absolute, other = explore("--root-path", "/user/ann/proxy/absolute/1")
    (here / "conf").write_text(CONFIG.format(here=here, port=port, stripped=stripped, absolute=absolute))
    with subprocess.Popen([NGINX, "-p", str(here), "-c", str(here / "conf")]) as server:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://hub.localhost:{port}", {"stripped": token, "absolute": other}
        server.terminate()


@pytest.mark.parametrize(
    ("path", "token"),
    [
        ("/user/ann/proxy/1/", "stripped"),
        ("/user/ann/proxy/1", "stripped"),
        ("/user/ann/proxy/absolute/1/", "absolute"),
        ("/own-host/", "stripped"),
    ],
)
def test_every_view_and_decision_works_below_the_path(watch, hub, path, token):
    home, tokens = hub
    page = watch(f"{home}{path}")
    refused = page.page.goto(f"{home}{path}")
    assert refused.status == 401
    page.complaints.clear()
    page.page.goto(f"{home}{path}?token={tokens[token]}")
    page.settle()
    assert page.page.evaluate("location.search + location.href.includes('?')") == "false"
    pictures = "[...document.images].filter(i => i.complete && i.naturalWidth > 0).length"
    page.until(f"{pictures} > 0")
    page.open("leakage")
    page.page.get_by_role("button", name=re.compile("^(Yes|Leak)")).first.click()
    page.settle()
    with page.page.expect_download() as kept:
        page.page.get_by_role("link", name=re.compile("CSV")).click()
    assert "decision" in kept.value.path().read_text()


def test_an_address_that_is_not_allowed_is_told_how(hub, explore):
    import json
    import urllib.error
    import urllib.request

    port, _token = explore()
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/api/study", headers={"Host": "other.example"})
    with pytest.raises(urllib.error.HTTPError, match="421") as refused:
        urllib.request.urlopen(asked, timeout=30)
    assert "--allow-host" in json.load(refused.value)["detail"]
