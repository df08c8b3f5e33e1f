"""The two doors to a batch that are none of ours: Temporal's command line, and the forms of its Web UI.

The Web UI's own server is asked, with the bodies its forms send: one JSON payload, base64 in JSON.
"""

import asyncio
import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection, HTTPResponse
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from tests.integration.batch.office import QUEUE, Json, Office

JSON: Final = "json/plain"
_NAMESPACE: Final = "/api/v1/namespaces/default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the sender is told: whether it was taken, and the text."""

    taken: bool
    text: str

    def result(self) -> Json:
        """The JSON object that an update gave."""
        assert self.taken, self.text
        told = json.loads(self.text)
        given = told["result"] if "result" in told else _only(told["outcome"]["success"])
        assert isinstance(given, dict)
        return given


class Door(Protocol):
    """A way to start, to send and to ask."""

    async def start(self, batch_id: str, *inputs: str) -> Answer:
        """Starts a batch from texts as typed."""

    async def send(self, kind: str, batch_id: str, name: str, *inputs: str, encoding: str = JSON) -> Answer:
        """Sends an `update` or a `signal`."""

    async def status(self, batch_id: str) -> Json:
        """Asks `status` without an input."""


@dataclass(kw_only=True)
class CommandLine:
    """The `temporal` program; each text goes in as a file, as long statements have to."""

    office: Office
    _files: int = field(default=0)

    async def start(self, batch_id: str, *inputs: str) -> Answer:
        """As the README says."""
        named = ("--type", "ProvisionBatch", "--task-queue", QUEUE, "--workflow-id", batch_id)
        return await self.run("workflow", "start", *named, "--fail-existing", *self._given(inputs))

    async def send(self, kind: str, batch_id: str, name: str, *inputs: str, encoding: str = JSON) -> Answer:
        """`workflow update execute`, or `workflow signal`."""
        verb = ("update", "execute") if kind == "update" else ("signal",)
        meta = () if encoding == JSON else ("--input-meta", f"encoding={encoding}")
        named = ("--workflow-id", batch_id, "--name", name)
        return await self.run("workflow", *verb, *named, *self._given(inputs), *meta)

    async def status(self, batch_id: str) -> Json:
        """`workflow query --type status`."""
        asked = await self.run("workflow", "query", "--workflow-id", batch_id, "--type", "status")
        return query_result(asked)

    async def run(self, *command: str) -> Answer:
        """One command of it, its answer as JSON."""
        done = await self.office.temporal(*command, "--output", "json")
        return Answer(taken=done.returncode == 0, text=done.stdout if done.returncode == 0 else done.stderr)

    def _given(self, inputs: Sequence[str]) -> tuple[str, ...]:
        given: list[str] = []
        for text in inputs:
            self._files += 1
            file = Path(self.office.stage.folder) / f"typed-{id(self)}-{self._files}"
            file.write_text(text)
            given += ["--input-file", str(file)]
        return tuple(given)


@dataclass(kw_only=True)
class WebInterface:
    """The forms of the Web UI: an empty field sends no payload, every other one."""

    office: Office
    _token: str = field(default="", repr=False)

    async def start(self, batch_id: str, *inputs: str) -> Answer:
        """The form "Start Workflow"."""
        body = {
            "workflowId": batch_id,
            "taskQueue": {"name": QUEUE},
            "workflowType": {"name": "ProvisionBatch"},
            "input": _payloads(inputs, JSON),
            "userMetadata": {},
            "searchAttributes": None,
        }
        return await self.post(f"/workflows/{batch_id}", body)

    async def send(self, kind: str, batch_id: str, name: str, *inputs: str, encoding: str = JSON) -> Answer:
        """The forms "Send a Signal" and "Send an Update"."""
        payloads = _payloads(inputs, encoding)
        body: Json = {"signalName": name, "workflowExecution": {"workflowId": batch_id}, "input": payloads}
        if kind == "update":
            body = {"workflowExecution": {}, "request": {"meta": {}, "input": {"args": payloads}}}
        return await self.post(f"/workflows/{batch_id}/{kind}/{name}", body)

    async def status(self, batch_id: str) -> Json:
        """The tab "Queries"."""
        query = {"execution": {"workflowId": batch_id}, "query": {"queryType": "status"}}
        asked = await self.post(f"/workflows/{batch_id}/query/status", query)
        assert asked.taken, asked.text
        return dict(_only(json.loads(asked.text)["queryResult"]))

    async def post(self, path: str, body: Json) -> Answer:
        """One request of the Web UI, with the token that its page carries."""
        return await asyncio.to_thread(self._post, path, json.dumps(body).encode())

    def _post(self, path: str, body: bytes) -> Answer:
        self._token = self._token or self._new_token()
        headers = {"Content-Type": "application/json", "X-CSRF-TOKEN": self._token}
        headers["Cookie"] = f"_csrf={self._token}"
        with self._asked("POST", f"{_NAMESPACE}{path}", body, headers) as response:
            return Answer(taken=response.status == HTTPStatus.OK, text=response.read().decode())

    def _new_token(self) -> str:
        with self._asked("GET", "/api/v1/settings") as page:
            cookie = SimpleCookie(page.headers["Set-Cookie"])
        return cookie["_csrf"].value

    @contextmanager
    def _asked(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Iterator[HTTPResponse]:
        connection = HTTPConnection(urlsplit(self.office.stack.temporal.ui).netloc, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            yield connection.getresponse()
        finally:
            connection.close()


def query_result(asked: Answer) -> Json:
    """The JSON object that the command line's query printed."""
    assert asked.taken, asked.text
    (given,) = json.loads(asked.text)["queryResult"]
    return dict(given)


def _payloads(inputs: Sequence[str], encoding: str) -> Json | None:
    if not inputs:
        return None
    return {
        "payloads": [{"metadata": {"encoding": _base64(encoding)}, "data": _base64(text)} for text in inputs]
    }


def _only(payloads: Any) -> Any:
    """The one payload of an answer, shown in plain JSON or packed."""
    (given,) = payloads["payloads"] if isinstance(payloads, dict) else payloads
    if isinstance(given, dict) and given.keys() == {"metadata", "data"}:
        return json.loads(base64.b64decode(given["data"]))
    return given


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
