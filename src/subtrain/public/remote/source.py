"""Files of a bucket whose requester pays, or of a folder: looked at, listed and read in ranges of one fixed version."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from subtrain.errors import CorruptError, InputError, StorageError, SubtrainError
from subtrain.public.remote.npy_header import FIRST
from subtrain.store.bucket import s3_objects
from subtrain.store.bucket_errors import reason
from subtrain.store.protocol import Entry, checked
from subtrain.system.paths import local_path

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_TRIES = 5
# What came before an answer that ends so is right.
_BROKEN = re.compile("body error|decoding response body|operation timed out")
_CHUNK = 1 << 20
_SET = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
_PAYS = f"its reader pays, so it answers nobody without credentials: {_SET}"


@dataclass(frozen=True)
class FileVersion:
    """One version of a file: its size in bytes and its ETag, which changes whenever the file does."""

    size: int
    tag: str


@dataclass(frozen=True)
class RemoteSource:
    """The files at an address. Every method makes requests that the requester pays for; none makes one unasked.

    All raise InputError for a file that is not there, CorruptError for one that has changed since its `FileVersion` was
    seen, StorageError, in one sentence and without any credentials, for a bucket that refuses or is out of reach.
    """

    objects: ObjectStore
    address: str
    pays: bool

    def location(self, key: str = "") -> str:
        """The file as messages name it."""
        return f"{self.address}/{key}" if key else self.address

    def look(self, key: str, first: int = FIRST) -> tuple[FileVersion, bytes]:
        """The version that is there now, and its first bytes; one request."""
        import obstore

        checked(key)
        for left in range(_TRIES)[::-1]:
            try:
                with self._errors(key):
                    found = obstore.get(self.objects, key, options={"range": (0, first)})
                    version = self._version(key, found.meta)
                    start = bytes(found.bytes())
                break
            except _BrokenOffError as error:
                self._give_up(key, error, left)
        if len(start) != min(first, version.size):
            raise StorageError(
                f"{self.location(key)} does not come whole: {len(start)} bytes came of its first {first}"
            )
        return version, start

    def read(self, key: str, start: int, stop: int, version: FileVersion) -> bytes:
        """Bytes start..stop-1 of that version, whole."""
        return b"".join(self.stream(key, start, stop, version))

    def stream(self, key: str, start: int, stop: int, version: FileVersion, chunk: int = _CHUNK) -> Iterator[bytes]:
        """The same a chunk at a time. What breaks off goes on where it stopped."""
        import obstore

        left = _TRIES - 1
        while start < stop:
            try:
                with self._errors(key):
                    wanted: Any = {"range": (start, stop), "if_match": version.tag}
                    found = obstore.get(self.objects, checked(key), options=wanted)
                    if self._version(key, found.meta) != version or found.range != (start, stop):
                        raise CorruptError(_changed(self.location(key)))
                    for some in found.stream(min_chunk_size=chunk):
                        # An answer longer than asked for would put wrong bytes in the place of those after it.
                        if start + len(some) > stop:
                            raise CorruptError(f"{self.location(key)} sends more than was asked for")
                        start += len(some)
                        left = _TRIES - 1
                        yield bytes(some)
                if start < stop:
                    raise _BrokenOffError("the answer ended too early")
            except _BrokenOffError as error:
                self._give_up(key, error, left)
                left -= 1

    def entries(self, below: str) -> Iterator[Entry]:
        """Files below this prefix; one LIST request for every thousand."""
        import obstore

        with self._errors(below):
            for some in obstore.list(self.objects, checked(below)):
                yield from (Entry(e["path"], e["size"], e["last_modified"].timestamp()) for e in some)

    def _version(self, key: str, meta: Any) -> FileVersion:
        # Without one, nobody could tell when the file changes.
        if not meta["e_tag"]:
            raise StorageError(f"{self.location(key)} has no ETag")
        return FileVersion(int(meta["size"]), str(meta["e_tag"]))

    def _give_up(self, key: str, error: Exception, left: int) -> None:
        if not left:
            raise StorageError(f"cannot read {self.location(key)}: {reason(error)}") from None

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        from obstore.exceptions import BaseError, GenericError, PreconditionError

        try:
            yield
        except (SubtrainError, _BrokenOffError):
            raise
        except PreconditionError:
            raise CorruptError(_changed(self.location(key))) from None
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise StorageError(f"cannot read {self.location(key)}: {reason(error)}") from None
            raise InputError(f"there is no {self.location(key)}") from None
        except (BaseError, PermissionError, TimeoutError, OSError) as error:
            if isinstance(error, GenericError) and _BROKEN.search(str(error)):
                raise _BrokenOffError(str(error)) from None
            raise StorageError(f"cannot read {self.location(key)}: {self._why(error)}") from None

    def _why(self, error: Exception) -> str:
        text = str(error)
        if "169.254" in text or re.search(r"security-credentials|latest/api/token", text):
            return f"no credentials were found, and {_PAYS}" if self.pays else reason(error)
        if re.search("configured region|PermanentRedirect|AuthorizationHeaderMalformed|301 Moved", text):
            return "the bucket is in another region than this was told: set AWS_REGION to the bucket's"
        if self.pays and re.search("AccessDenied|403 Forbidden", text) and not re.search("InvalidAccessKey", text):
            return (
                "access denied; either there is no such file (a bucket says 403 then to those who may not list it), or "
                "these credentials may not read from buckets whose reader pays (s3:GetObject), or none were sent"
            )
        return reason(error)


class _BrokenOffError(Exception):
    """An answer that ended before it was whole; what came of it may be used."""


def open_source(address: str | RemoteSource, pays: bool) -> RemoteSource:
    """The files at `s3://bucket[/prefix]` or in a folder; a source is passed through. Nothing is asked of it yet.

    With `pays`, every request, HEAD and LIST too, says that the requester pays for it. Raises InputError where obstore
    is not installed, for an address of another kind, and for anonymous requests, which such a bucket refuses.
    """
    if isinstance(address, RemoteSource):
        return address
    try:
        from obstore.store import LocalStore
    except ImportError:
        raise InputError("the published data needs obstore: pip install 'subtrain[s3]'") from None
    if not address.startswith("s3://"):
        if "://" in address:
            raise InputError(f"{address} is neither a folder nor an s3://bucket/prefix")
        if not local_path(address).is_dir():
            raise InputError(f"there is no folder {address}")
        return RemoteSource(LocalStore(str(local_path(address).resolve())), address, False)
    if pays and os.environ.get("AWS_SKIP_SIGNATURE", "").lower() in ("1", "true", "yes"):
        raise InputError(f"AWS_SKIP_SIGNATURE asks for anonymous requests to {address}, but {_PAYS}, and unset it")
    bucket, _, prefix = address.removeprefix("s3://").strip("/").partition("/")
    if not bucket:
        raise InputError(f"{address} must name a bucket: s3://bucket/prefix")
    return RemoteSource(s3_objects(bucket, prefix, requester_pays=pays), address.rstrip("/"), pays)


def _changed(location: str) -> str:
    return f"{location} has been replaced since it was opened: what was read so far is of another file; open it again"
