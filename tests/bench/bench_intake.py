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
from tests.bench.measures import Measure, print_measures
from tests.integration.intake_room import IntakeRoom, file_of, row
from tests.integration.store_fixtures import cluster_of, new_databases, new_template
from tests.trust_room import trust_text

ROWS = 100_000
TABLE = "intake, one core"


def _people(count: int) -> Iterable[str]:
    return (
        row(f"s-{number:08d}", kyc=f"kyc-{number}", name=f"Ana María Pérez {number}")
        for number in range(count)
    )


def _timed(name: str, count: int, work: Callable[[], object]) -> Measure:
    gc.collect()
    start = time.perf_counter()
    work()
    took = time.perf_counter() - start
    return Measure(table=TABLE, name=name, value=count / took, unit="rows/s", note=f"{took:.2f} s")


def _read(inbox: Inbox, name: str) -> list[Row]:
    with inbox.open(f"inbox://{name}") as source:
        today = datetime.now(tz=UTC).date()
        return [found for found in read_rows(source, today=today) if isinstance(found, Row)]


def _alone(folder: Path, count: int) -> list[Measure]:
    """What one core does without any server."""
    (folder / "inbox").mkdir()
    (folder / "inbox" / "bench.csv").write_bytes(file_of(_people(count)))
    inbox = Inbox(folder / "inbox")
    rows = _read(inbox, "bench.csv")
    key = BatchDataKey(batch_id="bench", secret=bytes(32))
    return [
        _timed("read and check", count, lambda: _read(inbox, "bench.csv")),
        _timed("seal and make leaves", count, lambda: seal_rows(rows, key=key, batch_no=1, first_ordinal=0)),
    ]


def _with_servers(folder: Path, count: int) -> list[Measure]:
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
        inspect, intake = InspectSource(request=request), room.intake()
        return [
            _timed("inspect_source", count, lambda: intake.inspect_source(inspect)),
            _timed("store_subjects", count, lambda: room.intake().store_subjects(step)),
            _timed("plan_batch", count, lambda: room.compliance.plan_batch(step)),
        ]


def measure(count: int) -> list[Measure]:
    """Gives rows per second of every part, and peak memory."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        found = [*_alone(Path(folder), count), *_with_servers(Path(folder), count)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [*found, Measure(table=TABLE, name="peak memory of the measuring process", value=peak, unit="MiB")]


if __name__ == "__main__":
    print_measures(measure(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS))
