"""Temporal: the real development server with its database on disk and its Web UI, or one elsewhere."""

import json
import os
import subprocess
import sysconfig
from pathlib import Path
from typing import ClassVar

from infra.devstack import ports
from infra.devstack.errors import StackError
from infra.devstack.http import call
from infra.devstack.part import Part

SEARCH_ATTRIBUTES = {
    "BatchStage": "Keyword",
    "BatchTenant": "Keyword",
    "BatchPurpose": "Keyword",
    "BatchJurisdiction": "Keyword",
    "BatchWaitingFor": "Keyword",
    "BatchWallets": "Int",
}
DYNAMIC_CONFIG = {
    "frontend.WorkflowTimeSkippingEnabled": "true",  # off by default; time-skipped tests need it
    # Every timer and retry waits for this margin between the clocks of several servers; here is one clock.
    "history.timerProcessorMaxTimeShift": '"20ms"',
}
# Half the fsyncs of the default rollback journal, and as safe when the process or the machine dies.
SQLITE_PRAGMA = "journal_mode=wal"
# The development server forgets closed workflows after a day; a demo may be looked at next week.
RETENTION = "2592000s"
CLI_SECONDS = 30


def temporal_binary() -> Path:
    """Gives the `temporal` program of this environment."""
    path = Path(sysconfig.get_path("scripts")) / "temporal"
    if not path.exists():
        raise StackError("the temporal program is not installed here: run make setup")
    return path


class Temporal(Part):
    """The workflow engine."""

    name: ClassVar[str] = "temporal"
    port_names: ClassVar[tuple[str, ...]] = (
        *("temporal", "temporal_ui", "temporal_http", "temporal_metrics"),
    )

    @property
    def address(self) -> str:
        """Host and port of the gRPC front end."""
        return self.elsewhere or f"127.0.0.1:{self.folder.port('temporal')}"

    @property
    def namespace(self) -> str:
        """The namespace batches run in."""
        return (self.elsewhere and os.environ.get("TEMPORAL_NAMESPACE")) or "default"

    @property
    def ui(self) -> str:
        """Address of the Web UI; empty when Temporal runs elsewhere."""
        return "" if self.elsewhere else f"http://127.0.0.1:{self.folder.port('temporal_ui')}"

    def launch(self) -> None:
        """Starts the server; its write-ahead log brings everything back after a crash."""
        port = self.folder.port
        command = [str(temporal_binary()), "server", "start-dev", "--ip", "127.0.0.1"]
        command += ["--db-filename", str(self.folder.path / "temporal" / "temporal.db")]
        command += ["--sqlite-pragma", SQLITE_PRAGMA]
        command += ["--port", str(port("temporal")), "--ui-port", str(port("temporal_ui"))]
        command += ["--http-port", str(port("temporal_http"))]
        command += ["--metrics-port", str(port("temporal_metrics"))]
        command += ["--ui-disable-news-fetch", "--log-level", "warn"]
        for key, value in SEARCH_ATTRIBUTES.items():
            command += ["--search-attribute", f"{key}={value}"]
        for key, value in DYNAMIC_CONFIG.items():
            command += ["--dynamic-config-value", f"{key}={value}"]
        self.process.spawn(command, cwd=self.folder.path)

    def answers(self) -> bool:
        """Tells whether the namespace is served."""
        if self.elsewhere:
            return _cli("workflow", "list", "--limit", "1").returncode == 0
        answer = call("GET", self._namespace_url())
        return bool(answer and answer.ok) and ports.is_listening(self.folder.port("temporal"))

    def healthy(self) -> bool:
        """Tells whether the namespace is served."""
        return self.answers()

    def prepare(self) -> None:
        """Keeps closed workflows for a month; elsewhere, registers missing search attributes."""
        if self.elsewhere:
            _register_search_attributes()
            return
        answer = call("GET", self._namespace_url())
        config = answer.body.get("config") if answer else None
        if not isinstance(config, dict) or config["workflowExecutionRetentionTtl"] != RETENTION:
            wanted = {"config": {"workflowExecutionRetentionTtl": RETENTION}}
            answer = call("POST", f"{self._namespace_url()}/update", body=dict(wanted))
            if not answer or not answer.ok:
                raise self.failure("refused to keep closed workflows for a month")

    def _namespace_url(self) -> str:
        return f"http://127.0.0.1:{self.folder.port('temporal_http')}/api/v1/namespaces/default"


def _cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the program with our own environment, from which it reads address, TLS and API key."""
    return subprocess.run(
        [str(temporal_binary()), *arguments, "--output", "json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=CLI_SECONDS,
    )


def _register_search_attributes() -> None:
    listed = _cli("operator", "search-attribute", "list")
    known = json.dumps(json.loads(listed.stdout)) if listed.returncode == 0 else ""
    for name, kind in SEARCH_ATTRIBUTES.items():
        if f'"{name}"' in known:
            continue
        done = _cli("operator", "search-attribute", "create", "--name", name, "--type", kind)
        if done.returncode != 0:
            raise StackError(
                f"search attribute {name} ({kind}) could not be registered at TEMPORAL_ADDRESS:"
                " have an operator of that Temporal add it, then run this again"
            )
