"""Announcements from the outbox to a receiver of webhooks."""

import base64
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from sqlalchemy import text
from standardwebhooks import Webhook

from activities.activation.announcements import event_id
from activities.activation.webhooks import WebhookReceiver
from activities.clients.transit import Transit
from activities.contracts.activation import DeliverWaiting
from activities.contracts.shapes import BatchStep
from activities.failures import (
    ServiceUnavailableError,
)
from infra.devstack import Stack
from tests.integration.seeded import told
from tests.integration.store_fixtures import Databases
from tests.integration.store_rows import run
from tests.integration.wave_room import COUNT, Room, slice_of
from tests.serving import serving

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()


@pytest.fixture
def attest(stack: Stack) -> Transit:
    """The key service as custody reaches it."""
    token = stack.state_dir / "secrets" / "custody" / "vault_token"
    return Transit(address=stack.openbao.address, token_file=token)


class _Inbox(BaseHTTPRequestHandler):
    """Keeps what is posted; answers as its server is told."""

    def do_POST(self) -> None:
        """Takes one call."""
        assert isinstance(self.server, _Server)
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        self.server.calls.append((dict(self.headers.items()), body))
        self.send_response(self.server.answers.pop(0) if self.server.answers else 204)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Writes no log."""


class _Server(ThreadingHTTPServer):
    """A receiver of webhooks; `answers` are the status codes of the next calls."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Inbox)
        self.calls: list[tuple[dict[str, str], str]] = []
        self.answers: list[int] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}/hook"


@pytest.fixture
def receiver() -> Iterator[_Server]:
    """A receiver that is there."""
    with serving(_Server()) as server:
        yield server


@pytest.fixture
def webhook_room(databases: Databases, attest: Transit, tmp_path: Path, receiver: _Server) -> Room:
    """Activation that announces to the receiver."""
    secret = tmp_path / "webhook_secret"
    secret.write_text(SECRET + "\n")
    webhook = WebhookReceiver(url=receiver.url, secret_file=secret)
    return Room(databases=databases, attest=attest, folder=tmp_path, receiver=webhook)


def test_wave_is_announced_once_signed(webhook_room: Room, receiver: _Server) -> None:
    """A wave's announcement goes out once, verifiable by its receiver, and names no subject."""
    batch = webhook_room.ready_batch()
    wave = webhook_room.opened(batch)
    webhook_room.activities.activate_slice(slice_of(wave))
    first = webhook_room.activities.announce_wave(wave)
    assert (first.active, first.announced) == (COUNT, 1)
    assert webhook_room.activities.announce_wave(wave) == first
    ((headers, body),) = receiver.calls
    said = Webhook(SECRET).verify(body, headers)
    assert said == webhook_room.announcement(batch, "wave/1")
    assert said["data"] == {"batch_id": batch.batch_id, "wave": 1, "percent": 100}
    assert {k.lower(): v for k, v in headers.items()}["webhook-id"] == event_id(batch.batch_id, "wave/1")
    assert len(told(webhook_room.databases.provisioning, batch.chain, "announcement.delivered")) == 1


def test_refused_announcement_is_sent_again_with_its_id(webhook_room: Room, receiver: _Server) -> None:
    """Until a receiver says yes the announcement waits, and every try carries the same id and content."""
    batch = webhook_room.ready_batch()
    wave = webhook_room.opened(batch)
    webhook_room.activities.activate_slice(slice_of(wave))
    receiver.answers = [500, 302]
    for _ in range(2):
        with pytest.raises(ServiceUnavailableError, match="webhook receiver"):
            webhook_room.activities.announce_wave(wave)
    assert webhook_room.activities.announce_wave(wave).announced == 1
    ids = {{k.lower(): v for k, v in headers.items()}["webhook-id"] for headers, _ in receiver.calls}
    assert (len(receiver.calls), len(ids), len({body for _, body in receiver.calls})) == (3, 1, 1)


def test_receiver_that_is_away_does_not_stop_undoing(webhook_room: Room, receiver: _Server) -> None:
    """Freezing does not wait for whoever is to be told; the announcement stays in the outbox."""
    batch = webhook_room.ready_batch()
    wave = webhook_room.opened(batch)
    webhook_room.activities.activate_slice(slice_of(wave))
    step = BatchStep(batch_id=batch.batch_id, fence=batch.fence)
    receiver.answers = [503]
    assert webhook_room.activities.undo_activation(step).counts["frozen"] == COUNT
    waiting = run(
        webhook_room.databases.provisioning,
        "SELECT topic FROM outbox WHERE batch_no = :no AND delivered_at IS NULL AND topic = 'wallets.frozen'",
        no=batch.batch_no,
    )
    assert len(waiting) == 1
    assert webhook_room.activities.undo_activation(step).counts["frozen"] == COUNT
    assert webhook_room.announcement(batch, "frozen")["data"]["wallets"] == COUNT


def test_untold_announcement_is_delivered_later_by_the_sweep(webhook_room: Room, receiver: _Server) -> None:
    """What waits for a while is told, the oldest first; a receiver that is away is not knocked at again."""
    batch = webhook_room.ready_batch()
    webhook_room.activities.activate_slice(slice_of(webhook_room.opened(batch)))
    receiver.answers = [503]
    webhook_room.activities.undo_activation(BatchStep(batch_id=batch.batch_id, fence=batch.fence))
    everything = DeliverWaiting(limit=1_000)
    assert webhook_room.activities.deliver_waiting(everything).delivered == 0
    with webhook_room.databases.admin.transaction() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        past = text(
            "UPDATE outbox SET created_at = created_at - interval '1 hour' WHERE batch_no = :batch_no"
        )
        connection.execute(past, {"batch_no": batch.batch_no})
    receiver.answers = [503]
    assert webhook_room.activities.deliver_waiting(everything).delivered == 0
    assert len(receiver.calls) == 2
    assert webhook_room.activities.deliver_waiting(everything).delivered == 2
    assert webhook_room.activities.deliver_waiting(everything).delivered == 0
    assert len(receiver.calls) == 4
