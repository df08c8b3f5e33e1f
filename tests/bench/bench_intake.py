"""Rows a second of intake's parts on one core, and of storing on the real servers.

Run: python -m tests.bench.bench_intake [rows]. Prints one line per part; peak memory last.
"""

import gc
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from activities.contracts.intake import InspectSource
from activities.intake.rows import Row, read_rows
from activities.intake.source import Inbox
from activities.intake.storing import seal_rows
from activities.personal_data import BatchDataKey
from infra.devstack import Stack
from tests.integration.intake_room import IntakeRoom, file_of, row
from tests.integration.store_fixtures import cluster_of, new_databases, new_template
from tests.trust_room import trust_text

ROWS = 100_000


def _people(count: int) -> Iterable[str]:
    return (
        row(f"s-{number:08d}", kyc=f"kyc-{number}", name=f"Ana María Pérez {number}")
        for number in range(count)
    )


def _timed(name: str, count: int, work: Callable[[], object]) -> None:
    gc.collect()
    start = time.perf_counter()
    work()
    took = time.perf_counter() - start
    print(f"{name:24} {count / took:>10,.0f} rows/s   {took:6.2f} s")  # noqa: T201 - a bench prints


def _read(inbox: Inbox, name: str) -> list[Row]:
    with inbox.open(f"inbox://{name}") as source:
        today = datetime.now(tz=UTC).date()
        return [found for found in read_rows(source, today=today) if isinstance(found, Row)]


def _alone(folder: Path, count: int) -> None:
    """What one core does without any server."""
    (folder / "inbox").mkdir()
    (folder / "inbox" / "bench.csv").write_bytes(file_of(_people(count)))
    inbox = Inbox(folder / "inbox")
    rows = _read(inbox, "bench.csv")
    key = BatchDataKey(batch_id="bench", secret=bytes(32))
    _timed("read and check", count, lambda: _read(inbox, "bench.csv"))
    _timed("seal and make leaves", count, lambda: seal_rows(rows, key=key, batch_no=1, first_ordinal=0))


def _with_servers(folder: Path, count: int) -> None:
    """Inspection and storing as the activities do them."""
    with (
        Stack(folder / "stack") as stack,
        new_template(cluster_of(stack.postgres.admin_url(), stack.state_dir)) as template,
        new_databases(cluster_of(stack.postgres.admin_url(), stack.state_dir), template) as databases,
    ):
        (folder / "room").mkdir()
        room = IntakeRoom.made_in(folder / "room", databases, stack, trust_text())
        request = room.request(file_of(_people(count)))
        step = room.claimed(_people(count))
        _timed("inspect_source", count, lambda: room.intake().inspect_source(InspectSource(request=request)))
        _timed("store_subjects", count, lambda: room.intake().store_subjects(step))
        _timed("plan_batch", count, lambda: room.compliance.plan_batch(step))


def main() -> None:
    """Runs every part."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        _alone(Path(folder), count)
        _with_servers(Path(folder), count)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{'peak memory':24} {peak:>10,} MiB")  # noqa: T201 - a bench prints


if __name__ == "__main__":
    main()
