"""Opens the source object that a request names in a bucket: only in buckets that the settings allow by name.

Every other bucket is refused before anything is asked of it. Problems name the field, never bucket or key.
"""

import io
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from activities.failures import InvalidRequestError, ServiceUnavailableError
from activities.intake.source import BLOCK, SOURCE_BYTES_MAX, OpenedSource, require_size

SCHEME: Final = "s3://"
_KEY_BYTES_MAX: Final = 1024
"""As S3 has it."""

_MISSING: Final = frozenset({"NoSuchKey", "NoSuchBucket", "404"})
_PATIENCE: Final = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "max_attempts": 2})
"""Seconds; what fails longer is tried again by the engine, where it shows."""


def bucket_client(*, endpoint: str, region: str, credentials_file: Path | None) -> Any:
    """Gives a client of S3 or of the store at `endpoint`; without a file, credentials are AWS's usual."""
    session = botocore.session.Session()
    if credentials_file is not None:
        session.set_config_variable("credentials_file", str(credentials_file))
    return boto3.session.Session(botocore_session=session, region_name=region or None).client(
        "s3", endpoint_url=endpoint or None, config=_PATIENCE
    )


class Buckets:
    """The buckets that `s3://bucket/key` reads from."""

    def __init__(self, client: Any, *, allowed: Collection[str], bytes_max: int = SOURCE_BYTES_MAX) -> None:
        self._client = client
        self._allowed = frozenset(allowed)
        self._bytes_max = bytes_max

    @contextmanager
    def open(self, uri: str) -> Iterator[OpenedSource]:
        """Opens the object of that key."""
        bucket, key = self._place(uri)
        with _told_as_ours():
            answer = self._client.get_object(Bucket=bucket, Key=key)
            with closing(answer["Body"]) as body:
                require_size(answer["ContentLength"], bytes_max=self._bytes_max)
                stream = io.BufferedReader(_Readable(body), BLOCK)
                yield OpenedSource(stream, bytes_max=self._bytes_max)

    def _place(self, uri: str) -> tuple[str, str]:
        bucket, _, key = uri.removeprefix(SCHEME).partition("/")
        if bucket not in self._allowed:
            raise InvalidRequestError("source.uri: the bucket is not one that this deployment reads from")
        if not key.isprintable() or not 0 < len(key.encode()) <= _KEY_BYTES_MAX:
            raise InvalidRequestError("source.uri: the key has the wrong length or is not plain text")
        return bucket, key


class _Readable(io.RawIOBase):
    """An answer's body as a raw stream, whatever its library calls it."""

    def __init__(self, body: Any) -> None:
        super().__init__()
        self._body = body

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fills the buffer as far as the next bytes go."""
        part: bytes = self._body.read(len(buffer))
        buffer[: len(part)] = part
        return len(part)


@contextmanager
def _told_as_ours() -> Iterator[None]:
    """Who refuses us is waited for, too: credentials are the deployment's to mend, not the requester's."""
    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in _MISSING:
            told: Exception = InvalidRequestError("source.uri: no object of that key is in the bucket")
        else:
            told = ServiceUnavailableError("bucket")
    except (BotoCoreError, OSError):
        told = ServiceUnavailableError("bucket")
    else:
        return
    raise told
