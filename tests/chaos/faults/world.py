"""Everything a fault can lay hands on: servers, workers, what stands between them, and people."""

import base64
import random
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import psycopg

from infra.devstack import Stack
from infra.devstack.workers import WorkerProcess
from tests.chaos.between.commit_cutter import CommitCutter
from tests.chaos.between.key_service_proxy import KeyServiceProxy
from tests.chaos.between.receiver import Receiver
from tests.chaos.faults.kinds import WORKER_AT_WORK, WORKERS
from tests.integration.batch.office import Office


@dataclass(kw_only=True)
class World:
    """The stack with its workers behind proxies; `batch_id` is the batch that everything happens to."""

    stack: Stack
    office: Office
    cutter: CommitCutter
    key_service: KeyServiceProxy
    receiver: Receiver
    seed: int
    batch_id: str = ""
    full_disk: Path | None = None
    chance: random.Random = field(default_factory=random.Random)

    @classmethod
    def around(cls, office: Office, seed: int) -> Self:
        """Puts proxies between the workers to come and their servers, and opens the receiver."""
        stack = office.stack
        secret = base64.b64encode(secrets.token_bytes(32)).decode()
        world = cls(
            stack=stack,
            office=office,
            cutter=CommitCutter(int(re.findall(r":(\d+)/", stack.database_url("owner"))[-1])),
            key_service=KeyServiceProxy(stack.openbao.address, seed=seed),
            receiver=Receiver(secret),
            seed=seed,
            chance=random.Random(seed),  # noqa: S311 - a repeatable plan, nothing secret
        )
        stack.staff(settings=_settings_through(world, secret))
        return world

    def close(self) -> None:
        """Ends the proxies and the receiver."""
        for server in (self.cutter, self.key_service, self.receiver):
            server.close()

    def worker(self, name: str) -> WorkerProcess:
        """One of the stack's workers."""
        return next(worker for worker in self.stack.workers if worker.name == name)

    def resolve(self, victim: str, kinds: frozenset[str]) -> str:
        """Who a victim is, by what the batch has come to."""
        if victim != WORKER_AT_WORK:
            return victim
        custodys = "keyring.intent" in kinds and "wave.opened" not in kinds
        return WORKERS[1] if custodys else WORKERS[0]

    def admin(self) -> "psycopg.Connection[Any]":
        """A session that may do everything, past the proxy."""
        url = self.stack.postgres.admin_url().rpartition("/")[0] + "/walletworks"
        return psycopg.connect(url, autocommit=True, connect_timeout=5)


def _settings_through(world: World, secret: str) -> Path:
    """The stack's settings, but with everything that workers reach behind what may harm it."""
    base = world.stack.state_dir / "chaos"
    base.mkdir(mode=0o700, exist_ok=True)
    text = world.stack.settings_path.read_text()
    for role in ("provisioning", "custody"):
        through = re.sub(r":\d+/", f":{world.cutter.port}/", world.stack.database_url(role))
        place = _written(base / f"{role}_database_url", through)
        text = text.replace(str(world.stack.state_dir / "secrets" / role / "database_url"), str(place))
    text = text.replace(world.stack.openbao.address, world.key_service.address)
    signing = _written(base / "webhook_secret", secret)
    text += f'\n[webhooks]\nurl = "{world.receiver.url}"\nsecret_file = "{signing}"\n'
    return _written(base / "settings.toml", text)


def _written(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text)
    return path
