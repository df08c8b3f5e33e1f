"""A server of the S3 protocol with buckets of the test's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moto.server import ThreadedMotoServer

from activities.intake.buckets import bucket_client
from infra.devstack.http import call

REGION = "eu-central-1"
CREDENTIALS = "[default]\naws_access_key_id = testing\naws_secret_access_key = testing\n"


@dataclass(frozen=True, kw_only=True)
class S3Store:
    """Where it answers, the file with the credentials for it, and a client."""

    endpoint: str
    credentials_file: Path
    client: Any

    def make(self, bucket: str) -> None:
        """Makes a bucket."""
        place = {"LocationConstraint": REGION}
        self.client.create_bucket(Bucket=bucket, CreateBucketConfiguration=place)

    def put(self, bucket: str, key: str, content: bytes) -> str:
        """Stores an object and gives its URI."""
        self.client.put_object(Bucket=bucket, Key=key, Body=content)
        return f"s3://{bucket}/{key}"


@contextmanager
def s3_store(folder: Path) -> Iterator[S3Store]:
    """Runs the server; its credentials file lies in the folder."""
    secrets = folder / "credentials"
    secrets.write_text(CREDENTIALS)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        endpoint = "http://{}:{}".format(*server.get_host_and_port())
        # What a server before it was given is in this process still.
        assert call("POST", f"{endpoint}/moto-api/reset") is not None
        client = bucket_client(endpoint=endpoint, region=REGION, credentials_file=secrets)
        yield S3Store(endpoint=endpoint, credentials_file=secrets, client=client)
    finally:
        server.stop()
