"""Whose keys open a bucket: those of the environment, else those of a profile in ~/.aws, else those of the machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from configparser import Error, RawConfigParser
from pathlib import Path

from subtrain.errors import InputError

# Where the environment says one of these, obstore finds the credentials by itself, and before any profile.
_ENVIRONMENT = ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_SKIP_SIGNATURE")
_KEYS = {
    "access_key_id": "aws_access_key_id",
    "secret_access_key": "aws_secret_access_key",
    "session_token": "aws_session_token",
}
_ELSEWHERE = ("sso_session", "sso_start_url", "role_arn", "credential_process", "login_session")


def s3_options(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What an obstore S3Store is told besides the variables it reads itself: `region`, and the keys of a profile.

    The profile is $AWS_PROFILE, or `default` if there is one, of ~/.aws/credentials and ~/.aws/config (or the files
    that $AWS_SHARED_CREDENTIALS_FILE and $AWS_CONFIG_FILE name). It is asked for keys only where the environment has
    none; without any, obstore asks the container or the instance for its role. Raises InputError for a profile that is
    not there, has half a pair of keys, or says that its credentials come from elsewhere (SSO, a role, a process).
    """
    name = environment.get("AWS_PROFILE") or environment.get("AWS_DEFAULT_PROFILE") or "default"
    given = any(environment.get(one) for one in _ENVIRONMENT)
    files = _files(environment)
    profile = _profile(name, files)
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or profile.get("region")
    found = {"region": region or "us-east-1"}
    if given:
        return found
    if not profile and name != "default":
        raise InputError(f"AWS_PROFILE is {name}, and neither {files[0]} nor {files[1]} has such a profile")
    return found | _keys(name, profile)


def _files(environment: Mapping[str, str]) -> tuple[Path, Path]:
    """The files of credentials and of settings."""
    home = Path("~/.aws").expanduser()
    credentials = environment.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials"
    return Path(credentials).expanduser(), Path(environment.get("AWS_CONFIG_FILE") or home / "config").expanduser()


def _profile(name: str, files: tuple[Path, Path]) -> dict[str, str]:
    """All that both files say of a profile; what the file of credentials says wins."""
    section = name if name == "default" else f"profile {name}"
    return _section(files[1], section) | _section(files[0], name)


def _section(file: Path, section: str) -> dict[str, str]:
    parser = RawConfigParser(strict=False, default_section="")
    try:
        parser.read_string(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError, Error) as error:
        # What configparser says quotes the line, which may hold a secret.
        raise InputError(f"{file} cannot be read as a file of AWS profiles ({type(error).__name__})") from None
    return dict(parser.items(section)) if parser.has_section(section) else {}


def _keys(name: str, profile: Mapping[str, str]) -> dict[str, str]:
    keys = {ours: profile[theirs] for ours, theirs in _KEYS.items() if profile.get(theirs)}
    if "access_key_id" in keys and "secret_access_key" in keys:
        return keys
    if keys:
        raise InputError(f"the AWS profile {name} needs both aws_access_key_id and aws_secret_access_key")
    if any(profile.get(one) for one in _ELSEWHERE):
        raise InputError(
            f"the AWS profile {name} gets its credentials from elsewhere (SSO, a role or a process), which subtrain "
            "does not do: make variables of them, "
            f'eval "$(aws configure export-credentials --profile {name} --format env)"'
        )
    return {}
