"""A study in a bucket of an S3-compatible object store, by conditional creates."""

from __future__ import annotations

import io
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import SpooledTemporaryFile, gettempdir
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from subtrain.errors import InputError, StorageError
from subtrain.store.atomic_files import storage_errors
from subtrain.store.bucket_errors import reason, transient, unconnected
from subtrain.store.credentials import s3_options
from subtrain.store.protocol import Entry, Write, checked

if TYPE_CHECKING:
    from obstore.store import ObjectStore, RetryConfig

_MARK = "subtrain-commit"
# Seconds that a store may be out of reach before that is an error.
PATIENCE = 60.0
_PIECE = 32 << 20
_TIMEOUTS = {"connect_timeout": "5s", "timeout": "60s"}
_RETRIES: RetryConfig = {
    # Time alone ends it: pauses are drawn at random, and six of them may pass within a second.
    "max_retries": 1000,
    "retry_timeout": timedelta(seconds=PATIENCE),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=5), "base": 2},
}

T = TypeVar("T")


class Patience:
    """A minute in which something may be tried again, with pauses."""

    def __init__(self) -> None:
        self.ends = time.monotonic() + PATIENCE
        self.pause = 0.1

    @property
    def over(self) -> bool:
        return time.monotonic() >= self.ends

    def wait(self) -> bool:
        """Pause, longer each time; False at once if the minute is over."""
        if self.over:
            return False
        time.sleep(self.pause)
        self.pause = min(5.0, 2 * self.pause)
        return True


def open_bucket(address: str) -> Bucket:
    """The store at `s3://bucket/prefix`; endpoint, region and credentials come from the AWS_* variables or a profile.

    Nothing is asked of the store yet. Raises InputError for an address without a bucket or a prefix, for a profile that
    cannot be used, and when obstore is not installed.
    """
    bucket, _, prefix = address.removeprefix("s3://").strip("/").partition("/")
    if not bucket or not prefix:
        raise InputError(f"{address} must name a bucket and a prefix in it: s3://bucket/prefix")
    checked(prefix)
    return Bucket(s3_objects(bucket, prefix), f"s3://{bucket}/{prefix}")


def s3_objects(bucket: str, prefix: str, requester_pays: bool = False) -> ObjectStore:
    """obstore's store of a bucket, or of a prefix in it; as `open_bucket` otherwise."""
    try:
        from obstore.store import S3Store
    except ImportError:
        raise InputError(f"s3://{bucket} needs obstore: pip install 'subtrain[s3]'") from None
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
    plain = os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true", "yes")
    if endpoint.startswith("http://") and not plain:
        raise InputError(f"AWS_ENDPOINT_URL is {endpoint}, without encryption: set AWS_ALLOW_HTTP=true to allow that")
    client: Any = {**_TIMEOUTS, "allow_http": plain}
    options: Any = s3_options() | ({"request_payer": True} if requester_pays else {})
    return S3Store(bucket, prefix=prefix or None, client_options=client, retry_config=_RETRIES, **options)


@dataclass(frozen=True)
class Bucket:
    """The store of an obstore object store that is scoped to a prefix. It must honor conditional creates."""

    objects: ObjectStore
    address: str

    def location(self, name: str = "") -> str:
        return f"{self.address}/{name}" if name else self.address

    def path(self, name: str = "") -> None:
        return None

    def prepare(self) -> None:
        """Raises StorageError if the store lets a second create win, as some that are S3-compatible in part do."""
        name = f"probe-{uuid4().hex}"
        try:
            if not self.commit_new(name, lambda file: file.write(b"1")) or self.commit_new(name, lambda file: None):
                raise StorageError(
                    f"{self.address} ignores If-None-Match: two runners could overwrite each other there"
                )
        finally:
            with suppress(StorageError):
                self.delete(name)

    def names(self, below: str = "") -> list[str]:
        return sorted(entry.name for entry in self.entries(below))

    def entries(self, below: str = "") -> Iterator[Entry]:
        import obstore

        def found() -> list[Entry]:
            listed = obstore.list(self.objects, checked(below) if below else None)
            return [Entry(e["path"], e["size"], e["last_modified"].timestamp()) for some in listed for e in some]

        return iter(self._ask(below, "list", found))

    def exists(self, name: str) -> bool:
        return self._mark_of(name) is not None

    def read(self, name: str) -> bytes:
        import obstore

        def whole() -> bytes:
            found = obstore.get(self.objects, checked(name))
            size, tag = found.meta["size"], found.meta["e_tag"]
            if size <= _PIECE:
                return bytes(found.bytes())
            del found
            pieces = ((at, min(at + _PIECE, size)) for at in range(0, size, _PIECE))
            got = (obstore.get(self.objects, name, options={"range": span, "if_match": tag}) for span in pieces)
            return b"".join(memoryview(piece.bytes()) for piece in got)

        return self._ask(name, "read", whole)

    def read_range(self, name: str, start: int, stop: int) -> bytes:
        import obstore
        from obstore.exceptions import GenericError

        def part() -> bytes:
            try:
                return bytes(obstore.get_range(self.objects, checked(name), start=start, end=stop))
            except GenericError as error:
                if re.search("InvalidRange|Invalid range|416 Range", str(error)):
                    return b""
                raise

        return self._ask(name, "read", part)

    def _ask(self, name: str, verb: str, act: Callable[[], T], absent: bool = True) -> T:
        """What `act` reads; asked again where an answer broke off, which the client itself does only for some."""
        from obstore.exceptions import GenericError

        patience = Patience()
        while True:
            try:
                with self._errors(name, verb, absent, passing=(GenericError,)):
                    return act()
            except GenericError as error:
                if not transient(error) or not patience.wait():
                    raise self._sentence(name, verb, error) from None

    def commit_new(self, name: str, write: Write) -> bool:
        """One PUT that only creates, with a mark of its own.

        Whenever the answer is not a plain yes, whose mark is there decides: a create that was carried out though its
        reply was lost, and tried again by whoever noticed, is still ours.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError, GenericError, PreconditionError

        file = io.BytesIO()
        write(file)
        mark = uuid4().hex
        marked: Any = {_MARK: mark}
        lost: Exception | None = None
        patience = Patience()
        while True:
            try:
                with self._errors(
                    name, "write", absent=False, passing=(AlreadyExistsError, PreconditionError, GenericError)
                ):
                    body = file.getbuffer()
                    obstore.put(
                        self.objects, checked(name), body, mode="create", attributes=marked, use_multipart=False
                    )
                return True
            except (AlreadyExistsError, PreconditionError):
                lost = None
            except GenericError as error:
                lost = error
            if patience.over and lost is not None and unconnected(lost):
                break  # to look for the mark would take another minute
            there = self._mark_of(name)
            if there is not None:
                return there == mark
            if (lost is not None and not transient(lost)) or not patience.wait():
                break
        raise self._sentence(name, "write", lost)

    def _mark_of(self, name: str) -> str | None:
        """The mark of the commit that made this file, "" if it has none; None if there is no such file."""
        import obstore
        from obstore.exceptions import GenericError, PermissionDeniedError, UnauthenticatedError

        refusals = (GenericError, PermissionError, PermissionDeniedError, UnauthenticatedError)
        try:
            with self._errors(name, "read", passing=refusals):
                found = obstore.get(self.objects, checked(name), options={"head": True})
                return str(found.attributes.get(_MARK, ""))
        except FileNotFoundError:
            return None
        except refusals as error:
            # The answer to a HEAD has no words; that to a GET says whether the secret or the clock is wrong.
            if not transient(error):
                with self._errors(name, "read"), suppress(FileNotFoundError):
                    obstore.get_range(self.objects, checked(name), start=0, end=1)
            raise self._sentence(name, "read", error) from None

    def replace(self, name: str, write: Write, durable: bool = True) -> None:
        import obstore

        with SpooledTemporaryFile(max_size=_PIECE) as file:
            with storage_errors(Path(gettempdir())):
                write(file)  # type: ignore[arg-type]
                file.seek(0)
            self._ask(name, "write", lambda: obstore.put(self.objects, checked(name), file), absent=False)

    def delete(self, name: str) -> None:
        import obstore

        with suppress(FileNotFoundError):
            self._ask(name, "delete", lambda: obstore.delete(self.objects, checked(name)))

    def clear(self, below: str) -> None:
        import obstore

        names = self.names(checked(below))
        if names:
            self._ask(below, "delete", lambda: obstore.delete(self.objects, names))

    def sweep(self) -> int:
        """Nothing: an object is there whole or not at all."""
        return 0

    @contextmanager
    def _errors(
        self, name: str, verb: str, absent: bool = True, passing: tuple[type[Exception], ...] = ()
    ) -> Iterator[None]:
        """What the store says as one StorageError; a missing file as FileNotFoundError where it may be absent."""
        from obstore.exceptions import BaseError

        try:
            yield
        except FileNotFoundError as error:
            if absent and "NoSuchBucket" not in str(error):
                raise FileNotFoundError(f"there is no {self.location(name)}") from None
            raise self._sentence(name, verb, error) from None
        except passing:
            raise
        except (BaseError, PermissionError, TimeoutError, OSError) as error:
            raise self._sentence(name, verb, error) from None

    def _sentence(self, name: str, verb: str, error: Exception | None) -> StorageError:
        return StorageError(f"cannot {verb} {self.location(name)}: {reason(error)}")
