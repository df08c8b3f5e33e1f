"""Sources in buckets, on a real server of the S3 protocol."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import pytest
from pydantic import ValidationError

from activities.failures import InvalidRequestError, ServiceUnavailableError
from activities.intake.buckets import Buckets, bucket_client
from activities.intake.source import Inbox, Places
from tests.s3_store import CREDENTIALS, REGION, s3_store
from workers.settings import BucketSettings

ALLOWED, OTHER = "acme-airdrops", "acme-payroll"
CONTENT = b"subject_id,subject_kind\n" + b"s-1,person\n" * 200_000


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of a server with two buckets, of which one is allowed."""
    with s3_store(tmp_path_factory.mktemp("s3")) as store:
        for bucket in (ALLOWED, OTHER):
            store.make(bucket)
            store.put(bucket, "spring/people.csv", CONTENT)
        store.put(ALLOWED, "empty.csv", b"")
        store.put(ALLOWED, "../people, 2.csv", b"odd\n")
        yield store.client


@pytest.fixture
def buckets(client: Any) -> Buckets:
    """What the deployment reads from."""
    return Buckets(client, allowed=[ALLOWED])


def refusal(places: Buckets | Places, uri: str) -> str:
    """The sentence with which a source is refused."""
    with pytest.raises(InvalidRequestError) as raised, places.open(uri):
        pass
    return raised.value.message


def test_an_object_in_an_allowed_bucket_is_read_with_its_digest(buckets: Buckets) -> None:
    """A source gives the object's bytes, and the digest of all of them however little was read."""
    with buckets.open(f"s3://{ALLOWED}/spring/people.csv") as source:
        assert source.peek(7) == CONTENT[:7]
        assert source.readline(100) == b"subject_id,subject_kind\n"
        assert source.offset == 24
        assert source.sha256_of_all() == hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize(
    "bucket",
    [
        OTHER,
        "",
        ALLOWED.upper(),
        f"{ALLOWED}.",
        f" {ALLOWED}",
        f"{ALLOWED}@{OTHER}",
        f"..%2f{ALLOWED}",
        f"arn:aws:s3:::{ALLOWED}",
        "acme",
    ],
)
def test_no_other_bucket_is_read(buckets: Buckets, bucket: str) -> None:
    """Only an exact name is allowed: no part, spelling, ARN or path of one."""
    reason = "source.uri: the bucket is not one that this deployment reads from"
    assert refusal(buckets, f"s3://{bucket}/spring/people.csv") == reason


def test_a_key_is_a_name_and_no_path(buckets: Buckets) -> None:
    """Dots and slashes of a key lead nowhere: it is found as it is spelt, or not at all."""
    with buckets.open(f"s3://{ALLOWED}/../people, 2.csv") as source:
        assert source.read(10) == b"odd\n"
    for key in (f"../{OTHER}/spring/people.csv", "spring/../spring/people.csv", "/spring/people.csv", "none"):
        reason = refusal(buckets, f"s3://{ALLOWED}/{key}")
        assert reason == "source.uri: no object of that key is in the bucket"


@pytest.mark.parametrize("key", ["", "a\x00b", "a\nb", "\ud800", "\u202ea", "k" * 1025])
def test_a_key_that_is_no_plain_text_is_refused(buckets: Buckets, key: str) -> None:
    """Nothing is asked of the store for it."""
    reason = "source.uri: the key has the wrong length or is not plain text"
    assert refusal(buckets, f"s3://{ALLOWED}/{key}") == reason


def test_an_empty_and_a_large_object_are_refused(client: Any, buckets: Buckets) -> None:
    """As files of the inbox are."""
    assert refusal(buckets, f"s3://{ALLOWED}/empty.csv") == "source.uri: the file is empty"
    small = Buckets(client, allowed=[ALLOWED], bytes_max=100)
    assert refusal(small, f"s3://{ALLOWED}/spring/people.csv").startswith("source.uri: the file is larger")


@contextmanager
def store_that_answers(status: int, body: bytes, *, length: int) -> Iterator[Buckets]:
    """A store whose every answer is this one; it is cut off where the body is shorter than it says."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            """It says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield Buckets(lone_client(f"http://127.0.0.1:{server.server_port}"), allowed=[ALLOWED])
        server.shutdown()


def lone_client(endpoint: str) -> Any:
    """A client with credentials that nobody knows."""
    with TemporaryDirectory() as folder:
        secrets = Path(folder, "credentials")
        secrets.write_text(CREDENTIALS)
        return bucket_client(endpoint=endpoint, region=REGION, credentials_file=secrets)


def read_all(places: Buckets) -> str:
    """The digest of a source that is read to its end."""
    with places.open(f"s3://{ALLOWED}/spring/people.csv") as source:
        return source.sha256_of_all()


@pytest.mark.parametrize("code", ["AccessDenied", "InvalidAccessKeyId", "ExpiredToken", "SlowDown"])
def test_a_store_that_refuses_us_is_waited_for(code: str) -> None:
    """Credentials are the deployment's to mend: the requester did nothing wrong."""
    body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    with (
        store_that_answers(403, body, length=len(body)) as places,
        pytest.raises(ServiceUnavailableError, match="bucket"),
    ):
        read_all(places)


def test_an_answer_that_is_cut_off_is_no_source() -> None:
    """A part of a list of people is never taken for the list."""
    with (
        store_that_answers(200, b"first\n", length=1000) as places,
        pytest.raises(ServiceUnavailableError, match="bucket"),
    ):
        read_all(places)


def test_a_store_that_is_away_is_waited_for() -> None:
    """The batch goes on once it is back."""
    with pytest.raises(ServiceUnavailableError, match="bucket"):
        read_all(Buckets(lone_client("http://127.0.0.1:9"), allowed=[ALLOWED]))


def test_a_scheme_is_read_where_it_says(buckets: Buckets, tmp_path: Path) -> None:
    """Without buckets every one of them is refused; with some, the inbox stays what it was."""
    (tmp_path / "people.csv").write_bytes(b"here\n")
    uri = f"s3://{ALLOWED}/spring/people.csv"
    assert refusal(Places(Inbox(tmp_path), None), uri) == "source.uri: s3 is not configured"
    for place, first in ((uri, CONTENT[:4]), ("inbox://people.csv", b"here")):
        with Places(Inbox(tmp_path), buckets).open(place) as source:
            assert source.read(4) == first


@pytest.mark.parametrize(
    "allowed", [[], ["*"], ["acme-*"], ["Acme"], ["a"], ["acme/airdrops"], ["arn:aws:s3:::a"]]
)
def test_settings_allow_whole_names_only(allowed: list[str]) -> None:
    """No pattern, no list that allows nothing or everything."""
    with pytest.raises(ValidationError):
        BucketSettings.model_validate({"allowed": allowed})
