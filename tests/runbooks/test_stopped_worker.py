"""The drill of `WorkerDied` for a worker that is stopped, not dead: its session is found and ended."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra import fences
from infra.commands import DONE, UNREACHABLE, URL_VARIABLE, WRONG_USE
from tests.integration.batch.after import require_end
from tests.integration.batch.office import Office
from tests.runbooks.markdown import ROOT
from tests.runbooks.test_worker_died import RUNBOOK, office, run
from tests.waiting import eventually

__all__ = ["office"]

LOOK, END = RUNBOOK.blocks("Diagnosis")[-1], RUNBOOK.blocks("Mitigation")[-1]


@contextmanager
def stopped_copy(office: Office, batch_id: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of provisioning's that is stopped in the middle of a COPY, ended with the block."""
    url = office.stack.database_url("provisioning")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.runbooks.stopped_copy", batch_id],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": url},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: _is_stopped(process.pid), 30, what="a process stopped in its COPY")
        yield process
    finally:
        process.kill()
        process.wait()


def _is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


async def test_stopped_worker_is_parted_from_its_fence(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing but its end frees the batch; the commands end that session alone, and the batch is undone."""
    batch_id = office.new_id("stopped")
    await office.start(office.request(batch_id))
    await office.at_gate(batch_id, "compliance")
    nobody = "nobody holds the batch's fence, or waits for it\n"
    assert await asyncio.to_thread(run, office, batch_id, LOOK) == nobody * 2
    with stopped_copy(office, batch_id) as process:
        await office.abort(batch_id)
        await asyncio.to_thread(eventually, lambda: "waits for the fence" in run(office, batch_id, LOOK), 20)
        _require_no_right(office, batch_id, capsys)
        told = await asyncio.to_thread(eventually, lambda: _ended(office, batch_id), 20)
        assert "waits for its process, from 127.0.0.1:" in told
        await require_end(office, batch_id, "aborted")
        assert process.poll() is None
    assert office.rows("SELECT 1 FROM subjects WHERE subject_id LIKE 'late-%'") == []


def _ended(office: Office, batch_id: str) -> str:
    """What the command says once it ends a session: one that is new is not taken for a stopped one."""
    told = run(office, batch_id, END)
    return told if "  ended\n" in told else ""


def _require_no_right(office: Office, batch_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Another role's login, the owner's too, sees that somebody holds it, and ends nobody."""
    for role in ("custody", "owner"):
        url_file = office.stack.state_dir / "secrets" / role / "database_url"
        assert fences.main([batch_id, "--end", "--url-file", str(url_file)]) == DONE
        told = capsys.readouterr().out
        assert "holds the fence (another role's: its login sees more)" in told
        assert "nothing to end" in told


def test_wrong_use_is_told_by_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No URL is 2, no database 3."""
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    url_file = tmp_path / "url"
    assert fences.main(["some-batch"]) == WRONG_USE
    assert fences.main(["some-batch", "--url-file", str(url_file)]) == WRONG_USE
    url_file.write_text("postgresql://nobody@127.0.0.1:1/nothing")
    assert fences.main(["some-batch", "--url-file", str(url_file)]) == UNREACHABLE
