"""What stands between workers and servers really does the harm it is told to do."""

import base64
import secrets
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from activities.activation.webhooks import WebhookReceiver
from activities.clients.transit import Transit
from activities.failures import ServiceUnavailableError
from activities.store.database import Database
from infra.devstack import Stack
from tests.chaos.between import key_service_proxy
from tests.chaos.between.commit_cutter import CommitCutter
from tests.chaos.between.key_service_proxy import GARBLED, LIES, KeyServiceProxy
from tests.chaos.between.receiver import Receiver


@pytest.fixture
def key_service(stack: Stack) -> Iterator[KeyServiceProxy]:
    """A proxy before the key service."""
    with closing(KeyServiceProxy(stack.openbao.address, seed=1)) as proxy:
        yield proxy


def test_cut_commit_is_done_by_the_server_and_told_to_nobody(stack: Stack) -> None:
    """The row is there, and who wrote it hears that the database went away; the next commit is told again."""
    url = stack.database_url("owner")
    port = url.rpartition(":")[2].partition("/")[0]
    with closing(CommitCutter(int(port))) as cutter:
        through = Database(url.replace(f":{port}/", f":{cutter.port}/"))
        with through.transaction() as connection:
            connection.execute(text("CREATE TABLE told (word text)"))
        cutter.arm()
        with through.transaction() as connection:  # reads only: nothing to lose
            assert connection.execute(text("SELECT count(*) FROM told")).scalar_one() == 0
        with pytest.raises(ServiceUnavailableError), through.transaction() as connection:
            connection.execute(text("INSERT INTO told VALUES ('lost')"))
        with through.transaction() as connection:
            assert connection.execute(text("SELECT word FROM told")).scalars().all() == ["lost"]
            connection.execute(text("DROP TABLE told"))
        assert cutter.cuts == 1
        through.close()


@pytest.mark.parametrize("number", range(len(GARBLED)))
def test_garbled_answer_of_the_key_service_is_no_answer(
    stack: Stack, key_service: KeyServiceProxy, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that cannot be read is taken for key material; the same call works straight after."""
    monkeypatch.setitem(key_service_proxy._SPOILS, "garbled", (GARBLED[number],))
    _spoilt_then_straight(stack, key_service, "garbled")


@pytest.mark.parametrize("number", range(len(LIES)))
def test_lie_of_the_key_service_is_no_answer(
    stack: Stack, key_service: KeyServiceProxy, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A success that carries an error, or nothing, is no success."""
    monkeypatch.setitem(key_service_proxy._SPOILS, "lying", (LIES[number],))
    _spoilt_then_straight(stack, key_service, "lying")


def _spoilt_then_straight(stack: Stack, key_service: KeyServiceProxy, mode: str) -> None:
    token = stack.state_dir / "secrets" / "custody" / "vault_token"
    transit = Transit(address=key_service.address, token_file=token)
    key_service.mode = mode
    with pytest.raises(ServiceUnavailableError):
        transit.new_data_key("seed", context=bytes(32))
    key_service.mode = key_service_proxy.STRAIGHT
    assert len(transit.new_data_key("seed", context=bytes(32))[0]) == 32


def test_receiver_keeps_what_came_and_only_a_good_one_is_believed(tmp_path: Path) -> None:
    """What was not answered with success is sent again; under its one id it arrives with one content."""
    secret = base64.b64encode(secrets.token_bytes(32)).decode()
    place = tmp_path / "secret"
    place.write_text(secret)
    with closing(Receiver(secret)) as receiver:
        sender = WebhookReceiver(url=receiver.url, secret_file=place)
        for mode in ("down", "failing", "redirecting"):
            receiver.mode = mode
            with pytest.raises(ServiceUnavailableError):
                sender.post(event="event-1", content='{"a":1}')
        receiver.mode = "good"
        sender.post(event="event-1", content='{"a":1}')
        assert (set(receiver.received), receiver.spoilt, receiver.refused) == ({"event-1"}, 3, 0)
        assert len(receiver.received["event-1"]) == 1


def test_receiver_refuses_a_call_that_somebody_else_signed(tmp_path: Path) -> None:
    """A call counts as arrived only when its signature is the deployment's."""
    place = tmp_path / "secret"
    place.write_text(base64.b64encode(secrets.token_bytes(32)).decode())
    with closing(Receiver(base64.b64encode(secrets.token_bytes(32)).decode())) as receiver:
        WebhookReceiver(url=receiver.url, secret_file=place).post(event="event-1", content="{}")
        assert (receiver.received, receiver.refused) == ({}, 1)
