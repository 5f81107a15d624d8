"""Who may ask, from where, and how much."""

import pytest

pytest.importorskip("fastapi")

from subtrain.explorer.server.safety import cookie_name

TOKEN = "a-token-of-the-test"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "evil.example:8420",
        "",
        "[::2]:80",
        "[::1].evil.com",
        "[::1]evil.com:80",
        "127.0.0.1:80:80",
        "127.0.0.1@evil.com",
        "localhost, evil.com",
        "127.0.0.1:",
        "localhost/",
    ],
)
def test_another_name_for_this_machine_is_refused(client, host):
    answer = client.get("/api/study", headers={"host": host})
    assert answer.status_code == 421
    assert "127.0.0.1" in answer.json()["detail"]


@pytest.mark.parametrize("host", ["127.0.0.1:1234", "localhost", "LOCALHOST:9", "[::1]:8420"])
def test_its_own_names_are_answered(client, host):
    assert client.get("/api/study", headers={"host": host}).status_code == 200


def test_another_page_may_not_ask(client):
    origins = ("http://evil.example", "null", "https://", "http://", "", "127.0.0.1", "file://127.0.0.1", "http://[::1")
    for headers in ({"sec-fetch-site": "cross-site"}, *({"origin": origin} for origin in origins)):
        answer = client.put("/api/leakage/0-0", json={"decision": "yes"}, headers=headers)
        assert answer.status_code == 403
    assert client.get("/api/study", headers={"origin": "http://127.0.0.1"}).status_code == 200
    strange = {"sec-fetch-site": "cross-site"}
    assert client.get("/api/map", headers=strange | {"sec-fetch-mode": "no-cors"}).status_code == 403
    assert client.get("/", headers=strange | {"sec-fetch-mode": "navigate"}).status_code == 200  # a link is followed


def test_without_the_token_there_is_nothing(world, serve):
    with serve(world, hosts=None, token=TOKEN) as client:
        for where in ("/", "/api/study", "/api/openapi.json", "/api/image/a/test/0.png", "/?token=wrong", "/?token="):
            assert client.get(where).status_code == 401, where
        assert client.get("/api/study", headers={"authorization": "Bearer wrong"}).status_code == 401
        assert client.get("/api/study", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_the_address_with_the_token_sets_a_cookie_and_goes_away(world, serve):
    with serve(world, hosts=None, token=TOKEN) as client:
        answer = client.get(f"/?token={TOKEN}")
        assert answer.status_code == 303
        assert answer.headers["location"] == "?"  # the address it was asked at, whatever a proxy calls that
        name, _, rest = answer.headers["set-cookie"].partition("=")
        assert rest == f"{TOKEN}; HttpOnly; SameSite=Lax"
        assert name == cookie_name(TOKEN) != cookie_name("that of another explorer on this machine")
        assert client.get("/").status_code == 200
        assert client.get("/api/study").status_code == 200


def test_behind_a_proxy_its_page_may_ask_and_no_other(world, serve):
    proxied = {"proxied": frozenset({"hub.example"}), "root": "/user/ann", "token": TOKEN}
    with serve(world, **proxied) as client:
        shown = {"authorization": f"Bearer {TOKEN}"}
        for host in ("hub.example", "hub.example:8000", "127.0.0.1:8420"):
            for where in ("/api/study", "/user/ann/api/study", "/user/ann/", "/user/ann", "/"):
                assert client.get(where, headers=shown | {"host": host}).status_code == 200, (host, where)
                assert client.get(where, headers={"host": host}).status_code == 401
        assert client.get("/user/annabel/api/study", headers=shown).status_code == 404
        assert client.get("/api/study", headers=shown | {"host": "hub.example.evil"}).status_code == 421
        ask = {"url": "/user/ann/api/leakage/0-0", "json": {"decision": "sometimes"}}  # 422: it was let through
        for origin, code in (("https://hub.example", 422), ("http://hub.example:8000", 422), ("http://evil", 403)):
            assert client.put(**ask, headers=shown | {"origin": origin}).status_code == code, origin


@pytest.mark.parametrize("number", [b"NaN", b"1e400", b"-Infinity", b'"\\ud800"', b"1" + b"0" * 5000])
def test_what_is_no_number_is_refused_and_not_repeated(client, number):
    bodies = {
        "/api/targets/1/whatif": b'{"removed": [%s]}' % number,
        "/api/verify": b'{"target": %s, "removed": [1]}' % number,
    }
    for where, body in bodies.items():
        answer = client.post(where, content=body, headers={"content-type": "application/json"})
        assert answer.status_code in (400, 422), (where, answer.status_code)
        assert answer.json()["detail"]
    answer = client.put("/api/leakage/0-0", content=b'{"decision": %s}' % number)
    assert answer.status_code in (400, 422)


def test_a_large_body_is_refused(client):
    body = b'{"removed": [' + b"1," * 600_000 + b"1]}"
    where, headers = "/api/targets/1/whatif", {"content-type": "application/json"}
    assert client.post(where, content=body, headers=headers).status_code == 413
    parts = (body[start : start + 65536] for start in range(0, len(body), 65536))
    assert client.post(where, content=parts, headers=headers).status_code == 411
    assert client.post(where, content=b"{}", headers=headers | {"content-length": "1e9"}).status_code == 413


def test_every_answer_says_that_it_is_no_page_for_others(client):
    for where in ("/", "/api/study", "/api/none", "/api/targets/99"):
        headers = client.get(where).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["referrer-policy"] == "no-referrer"
    assert client.get("/api/study").headers["cache-control"] == "no-store"


def test_only_the_pages_own_scripts_may_run(monkeypatch):
    import base64
    import hashlib

    from subtrain.explorer.page import policy

    html = '<script type="module">own()</script><script type="application/json" id=x>{}</script><p>'
    digest = base64.b64encode(hashlib.sha256(b"own()").digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy(html)
    assert "script-src 'none'" in policy("<p>")
