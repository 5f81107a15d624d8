"""Whose keys open a bucket: the environment's, a profile's, or nobody's; and no secret is ever shown."""

from __future__ import annotations

import pytest

from subtrain.errors import InputError
from subtrain.store.addresses import open_store
from subtrain.store.credentials import s3_options

KEYS = "aws_access_key_id = {0}KEY\naws_secret_access_key = s%(e)cret/{0}+=\n"


@pytest.fixture
def aws(tmp_path):
    """aws(credentials=…, config=…, **variables): an environment whose profiles are these."""

    def make(credentials: str | None = None, config: str | None = None, **variables: str) -> dict[str, str]:
        files = {"AWS_SHARED_CREDENTIALS_FILE": credentials, "AWS_CONFIG_FILE": config}
        for name, text in files.items():
            if text is not None:
                (tmp_path / name).write_text(text)
        return {name: str(tmp_path / name) for name in files} | variables

    return make


def keys(who: str) -> dict[str, str]:
    return {"access_key_id": f"{who}KEY", "secret_access_key": f"s%(e)cret/{who}+="}


def test_the_default_profile_and_a_named_one(aws):
    text = f"[default]\n{KEYS.format('d')}\n[work]\n{KEYS.format('w')}aws_session_token = token\n"
    assert s3_options(aws(text)) == {"region": "us-east-1"} | keys("d")
    assert s3_options(aws(text, AWS_PROFILE="work")) == {"region": "us-east-1", "session_token": "token"} | keys("w")


def test_settings_have_the_region_and_may_have_the_keys(aws):
    config = f"[default]\nregion = eu-west-1\n[profile work]\nregion = eu-central-1\n{KEYS.format('c')}"
    environment = aws(f"[default]\n{KEYS.format('d')}", config)
    assert s3_options(environment) == {"region": "eu-west-1"} | keys("d")
    assert s3_options(environment | {"AWS_PROFILE": "work"}) == {"region": "eu-central-1"} | keys("c")
    assert s3_options(environment | {"AWS_REGION": "sa-east-1"})["region"] == "sa-east-1"


def test_the_file_of_credentials_wins_over_the_settings(aws):
    environment = aws(f"[work]\n{KEYS.format('a')}", f"[profile work]\n{KEYS.format('b')}", AWS_PROFILE="work")
    assert s3_options(environment) == {"region": "us-east-1"} | keys("a")


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE"])
def test_the_environment_wins_over_any_profile(aws, name):
    environment = aws(f"[default]\nregion = eu-west-1\n{KEYS.format('d')}", AWS_PROFILE="gone", **{name: "mine"})
    assert s3_options(environment) == {"region": "us-east-1"}, "obstore reads the keys of the environment itself"


def test_without_any_profile_the_machine_is_asked(aws):
    assert s3_options(aws()) == {"region": "us-east-1"}
    assert s3_options(aws("", "[default]\nregion = eu-west-1\n")) == {"region": "eu-west-1"}


@pytest.mark.parametrize(
    ("credentials", "config", "said"),
    [
        (None, None, "AWS_PROFILE is work, and neither .* nor .* has such a profile"),
        ("[work]\naws_secret_access_key = hush\n", None, "needs both aws_access_key_id and aws_secret_access_key"),
        ("[work]\naws_access_key_id = A\n", None, "needs both aws_access_key_id and aws_secret_access_key"),
        (None, "[profile work]\nsso_session = corp\n", "export-credentials --profile work --format env"),
        (None, "[profile work]\ncredential_process = hush\n", "export-credentials --profile work --format env"),
        ("aws_secret_access_key = hush\n", None, r"cannot be read as a file of AWS profiles \(MissingSectionHeader"),
        ("[work]\nhush\n", None, r"cannot be read as a file of AWS profiles \(ParsingError\)"),
    ],
)
def test_a_profile_that_cannot_be_used_is_one_sentence_without_secrets(aws, credentials, config, said):
    with pytest.raises(InputError, match=said) as caught:
        s3_options(aws(credentials, config, AWS_PROFILE="work"))
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_bucket_is_opened_with_the_profile_and_shows_no_secret(aws, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in aws(f"[work]\n{KEYS.format('w')}", AWS_PROFILE="work").items():
        monkeypatch.setenv(name, value)
    store = open_store("s3://bucket/study")
    assert store.objects.config | keys("w") == store.objects.config
    assert "cret" not in f"{store!r} {store} {vars(store)} {store.address}"
