"""What a bucket says when it refuses, as sentences that say what to do."""

import pytest
from obstore.exceptions import GenericError, PermissionDeniedError, UnauthenticatedError
from obstore.store import MemoryStore

from mirror import ADDRESS
from subtrain.errors import InputError, StorageError
from subtrain.public.remote.source import RemoteSource, open_source


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            GenericError("error sending request for url (http://169.254.169.254/latest/api/token)"),
            "AWS_ACCESS_KEY_ID and",
        ),
        (
            PermissionDeniedError("403 Forbidden <Code>AccessDenied</Code>"),
            "there is no such file .* whose reader pays",
        ),
        (UnauthenticatedError("<Code>InvalidAccessKeyId</Code>"), "the credentials are wrong"),
        (GenericError("403 Forbidden <Code>InvalidAccessKeyId</Code>"), "the credentials are wrong"),
        (GenericError("<Code>ExpiredToken</Code>"), "the credentials have expired"),
        (FileNotFoundError("<Code>NoSuchBucket</Code>"), "no such bucket"),
        (GenericError("Received redirect without LOCATION: an incorrectly configured region"), "set AWS_REGION"),
        (GenericError("<Code>AuthorizationHeaderMalformed</Code>, expecting 'eu-west-1'"), "set AWS_REGION"),
        (TimeoutError("operation"), "does not answer as it should"),
    ],
)
def test_refusals(monkeypatch, error, said):
    def refuse(*args, **options):
        raise error

    monkeypatch.setattr("obstore.get", refuse)
    with pytest.raises(StorageError, match=said) as caught:
        RemoteSource(MemoryStore(), ADDRESS, True).look("a/b.npy")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"cannot read {ADDRESS}/a/b.npy: ")


def test_addresses_that_cannot_be():
    for address, said in (
        ("gs://bucket", "neither a folder nor an s3://"),
        ("s3://", "must name a bucket"),
        ("/nowhere/at/all", "there is no folder"),
    ):
        with pytest.raises(InputError, match=said):
            open_source(address, False)
    source = RemoteSource(MemoryStore(), ADDRESS, True)
    assert open_source(source, True) is source
    for key in ("../a", "/a", "a//b", ".hidden"):
        with pytest.raises(InputError, match="no name of a file"):
            source.look(key)
