"""Everybody around a batch: who asks, who signs, who watches; on real servers, by the public ways only.

The store is read by its owner for looking behind the scenes, never written.
"""

import asyncio
import hashlib
import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Row, text
from temporalio.client import Client, WorkflowHandle

from activities.canonical import canonical_text
from activities.store.database import Database
from infra.demo.cast import COMPLIANCE, REQUESTER, TENANT, WALLETS, Member
from infra.demo.staging import Stage
from infra.devstack import Stack
from infra.devstack.settings_file import POLICIES
from infra.devstack.temporal import temporal_binary
from tests.integration.batch.people import csv_of, people
from tests.waiting import eventually_async

Json = dict[str, Any]
Handle = WorkflowHandle[Any, Json]
Holds = Callable[[Json], bool]

QUEUE: Final = "provisioning"
ENDS_WITHIN: Final = 60
"""Seconds; a batch of these tests takes two to four on an idle machine."""

SIGNERS: Final = {"compliance_officer": COMPLIANCE, "wallet_officer": WALLETS}


@dataclass(kw_only=True)
class Office:
    """One stack with its people, its workers, and clients to it."""

    stack: Stack
    stage: Stage
    client: Client
    owner: Database
    _numbers: int = field(default=0)

    def new_id(self, word: str) -> str:
        """A batch id of its own."""
        self._numbers += 1
        return f"{word}-{self._numbers}-{secrets.token_hex(2)}"

    def rows(self, sql: str, **values: Any) -> Sequence[Row[Any]]:
        """What the store holds, as its owner reads it."""
        with self.owner.transaction() as connection:
            return connection.execute(text(sql), values).all()

    def put_source(self, content: str | bytes, *, name: str = "") -> Json:
        """Lays a file into the inbox; gives the request's `source`."""
        raw = content.encode() if isinstance(content, str) else content
        name = name or f"{secrets.token_hex(6)}.csv"
        (self.inbox / name).write_bytes(raw)
        return {"uri": f"inbox://{name}", "sha256": hashlib.sha256(raw).hexdigest()}

    @property
    def inbox(self) -> Path:
        """The folder requests read sources from."""
        return self.stack.state_dir / "inbox"

    @property
    def lists(self) -> Path:
        """The folder the sanctions lists lie in."""
        return self.stack.state_dir / "lists"

    def request(self, batch_id: str, *, subjects: int = 5, held: int = 0, **changes: Any) -> Json:
        """A small request that two people approve once; `changes` replace fields, None leaves one out."""
        fields: Json = {
            "batch_id": batch_id,
            "tenant": TENANT,
            "requested_by": REQUESTER.name,
            "purpose": "airdrop",
            "custody": "custodial",
            "jurisdiction": "default",
            "chains": ["ethereum"],
            "rollout": {"waves_percent": [20, 100], "soak_seconds": 0},
        }
        if "source" not in changes:
            fields["source"] = self.put_source(csv_of(people(batch_id, subjects, held=held)))
        return self.signed({name: value for name, value in (fields | changes).items() if value is not None})

    def signed(self, request: Json) -> Json:
        """The request with the requester's signature over what it says now."""
        said = {name: value for name, value in request.items() if name != "signature"}
        signature = self.sign(canonical_text(said), REQUESTER, namespace="walletworks-request")
        return said | {"signature": signature}

    def sign(self, message: str, member: Member, *, namespace: str = "walletworks-approval") -> str:
        """What `ssh-keygen -Y sign` gives with a member's key."""
        return ssh_sign(message, self.stage.key(member), namespace=namespace)

    def statement(self, batch_id: str, gate: Mapping[str, Any], member: Member, **changes: Any) -> str:
        """The text of a decision that counts, unless something is changed."""
        now = datetime.now(UTC)
        fields = {
            "v": 1,
            "deployment": self.stack.deployment,
            "tenant": TENANT,
            "batch_id": batch_id,
            "gate": gate["gate"],
            "digest": gate["digest"],
            "decision": "approve",
            "approver": member.name,
            "reason": "Looked at it.",
            "issued_at": stamp(now),
            "expires_at": stamp(now + timedelta(hours=8)),
            "nonce": secrets.token_hex(16),
        }
        return json.dumps(fields | changes)

    def message(self, batch_id: str, gate: Mapping[str, Any], member: Member, **changes: Any) -> Json:
        """A signed message."""
        said = self.statement(batch_id, gate, member, **changes)
        return {"statement": said, "signature": self.sign(said, member)}

    async def start(
        self, request: Json, *, workflow_id: str = "", signal: str | None = None, signal_input: Any = None
    ) -> Handle:
        """Starts a batch by a client, as any program of a product team may."""
        return await self.client.start_workflow(
            "ProvisionBatch",
            request,
            id=workflow_id or request["batch_id"],
            task_queue=QUEUE,
            result_type=dict,
            start_signal=signal,
            start_signal_args=[signal_input] if signal else [],
        )

    def handle(self, batch_id: str) -> Handle:
        """The newest run of a batch."""
        return self.client.get_workflow_handle(batch_id, result_type=dict)

    async def status(self, batch_id: str) -> Json:
        """The answer of the query `status`."""
        answer: Json = await self.handle(batch_id).query("status", {}, result_type=dict)
        return answer

    async def until(self, batch_id: str, holds: Holds, *, what: str, seconds: float = ENDS_WITHIN) -> Json:
        """The first status for which something holds; a batch that ended otherwise fails at once."""

        async def look() -> Json:
            seen = await self.status(batch_id)
            if not holds(seen):
                assert seen["stage"] != "ended", f"{batch_id} ended before {what}: {seen}"
                assert time.monotonic() < deadline, f"{batch_id} after {seconds} s without {what}: {seen}"
                return {}
            return seen

        deadline = time.monotonic() + seconds
        return await eventually_async(look, 2 * seconds, what=what)

    async def at_gate(self, batch_id: str, gate: str) -> Json:
        """The gate as `status` shows it, once the batch waits at it."""
        seen = await self.until(batch_id, lambda s: waits_at(s, gate), what=f"waiting at {gate}")
        return gate_of(seen, gate)

    async def until_waiting_for(self, batch_id: str, service: str) -> Json:
        """The first status that says that the batch waits for a service whose words begin so."""

        def waits(status: Json) -> bool:
            waiting = status["waiting_for"] or {}
            return waiting.get("kind") == "service" and waiting["name"].startswith(service)

        return await self.until(batch_id, waits, what=f"waiting for {service}")

    async def until_ended(self, batch_id: str) -> Json:
        """The last status."""
        return await self.until(batch_id, lambda s: bool(s["stage"] == "ended"), what="its end")

    async def send(self, batch_id: str, name: str, message: Any) -> Json:
        """Sends an update and gives its answer."""
        answer: Json = await self.handle(batch_id).execute_update(name, message, result_type=dict)
        return answer

    async def decide(
        self, batch_id: str, gate: Mapping[str, Any], member: Member, *, by: str = "approve", **changes: Any
    ) -> Json:
        """Signs a decision and sends it as an update."""
        message = await asyncio.to_thread(self.message, batch_id, gate, member, **changes)
        return await self.send(batch_id, by, message)

    async def adjudicate(self, batch_id: str, hold: Mapping[str, Any], decision: str) -> Json:
        """Decides on one hold."""
        return await self.decide(batch_id, hold, COMPLIANCE, by="adjudicate", decision=decision)

    async def abort(self, batch_id: str) -> None:
        """Leaves a batch early, by a decision that counts."""
        gate = gate_of(await self.status(batch_id), "rollback")
        answer = await self.decide(batch_id, gate, COMPLIANCE, by="abort")
        assert answer["counted"], answer

    async def pass_gate(self, batch_id: str, gate: str) -> None:
        """Everybody whom the gate asks for signs it; a seat may be open to either officer."""
        opened = await self.at_gate(batch_id, gate)
        answers = [
            await self.decide(batch_id, opened, SIGNERS[seat.partition("|")[0]])
            for seat in sorted(opened["still_needed"])
        ]
        assert all(answer["counted"] for answer in answers), answers

    async def pass_gates(self, batch_id: str, *gates: str) -> None:
        """Passes gates in the order the batch comes to them."""
        for gate in gates:
            await self.pass_gate(batch_id, gate)

    def holds(self, batch_id: str) -> dict[int, Json]:
        """The holds of a batch by ordinal, each as the gate its decision names."""
        found = self.rows(
            "SELECT ordinal, hold_digest FROM verdicts JOIN batches USING (batch_no)"
            " WHERE batch_id = :id AND verdict = 'held'",
            id=batch_id,
        )
        return {row.ordinal: {"gate": "hold", "digest": bytes(row.hold_digest).hex()} for row in found}

    def states(self, batch_id: str) -> dict[str, int]:
        """How many wallets of the batch stand in each state."""
        found = self.rows(
            "SELECT state, count(*) AS n FROM wallets JOIN batches USING (batch_no)"
            " WHERE batch_id = :id GROUP BY state",
            id=batch_id,
        )
        return {row.state: row.n for row in found}

    def fence(self, batch_id: str) -> int:
        """The batch's fence: 1 until undoing raises it."""
        return int(self.rows("SELECT fence FROM batches WHERE batch_id = :id", id=batch_id)[0].fence)

    def accounts(self, batch_id: str) -> list[str]:
        """Whether each account that the batch took is kept or burned."""
        found = self.rows(
            "SELECT burned_at FROM keyring_accounts JOIN batches USING (batch_no) WHERE batch_id = :id",
            id=batch_id,
        )
        return ["kept" if row.burned_at is None else "burned" for row in found]

    def write_policy(self, name: str, **changes: Any) -> None:
        """Gives both workers one jurisdiction more: the default one with some values changed."""
        own = (POLICIES / "default.toml").read_text()
        for field_name, value in {"jurisdiction": name, **changes}.items():
            line = f"{field_name} = {json.dumps(value)}"
            own = re.sub(rf"^{field_name} = .*$", line, own, flags=re.MULTILINE)
        for place in ("policies", "custody/policies"):
            (self.stack.state_dir / place / f"{name}.toml").write_text(own)

    async def walletworks(self, member: Member, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs our command line as a member."""
        variables = {"WALLETWORKS_AS": member.name, "WALLETWORKS_KEY": str(self.stage.key(member))}
        program = Path(sys.executable).with_name("walletworks")
        return await self._run(program, command, variables | {"COLUMNS": "200"})

    async def temporal(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs Temporal's own command line."""
        return await self._run(temporal_binary(), command, {})

    async def _run(
        self, program: Path, command: Sequence[str], variables: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(
            subprocess.run,
            [str(program), *command],
            env=os.environ | self.stack.environment() | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


def ssh_sign(message: str, key: Path, *, namespace: str) -> str:
    """The armoured signature of OpenSSH's own tool over an exact text."""
    done = subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", str(key)],
        input=message.encode(),
        capture_output=True,
        check=True,
    )
    return done.stdout.decode()


def stamp(moment: datetime) -> str:
    """A moment as statements write it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def waits_at(status: Mapping[str, Any], name: str) -> bool:
    """Whether the batch waits for something of that name."""
    return bool((status["waiting_for"] or {}).get("name") == name)


def gate_of(status: Mapping[str, Any], name: str) -> Json:
    """One gate of a status."""
    found: Json = next(gate for gate in status["gates"] if gate["gate"] == name)
    return found


async def all_of(*work: Awaitable[Any]) -> list[Any]:
    """Runs independent batches at once; the first failure is the test's."""
    return list(await asyncio.gather(*work))
