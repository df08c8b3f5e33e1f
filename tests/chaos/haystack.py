"""Everything a batch leaves anywhere: files as they lie on disk, and what servers show, to be searched.

The search answers with places and needles' names, never with what was found.
"""

import json
import subprocess
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from google.protobuf.message import Message
from psycopg import sql
from temporalio.api.common.v1 import Payload
from temporalio.client import Client

from tests.chaos.needles import Needles
from tests.chaos.ordeal import BATCH, Ordeal


async def write_histories(client: Client, folder: Path) -> None:
    """The histories of the batch's workflows: raw, as JSON, and every payload by itself."""
    async for found in client.list_workflows(f"WorkflowId = '{BATCH}' OR WorkflowId STARTS_WITH '{BATCH}/'"):
        history = await client.get_workflow_handle(found.id, run_id=found.run_id).fetch_history()
        stem = folder / f"history-{found.id.replace('/', '-')}-{found.run_id}"
        stem.with_suffix(".raw").write_bytes(
            b"\n".join(event.SerializeToString() for event in history.events)
        )
        stem.with_suffix(".json").write_text(history.to_json())
        payloads = (payload.data for event in history.events for payload in _payloads(event))
        stem.with_suffix(".payloads").write_bytes(b"\n".join(payloads))


def write_columns(ordeal: Ordeal, folder: Path) -> None:
    """Every column of every table, each value as its bytes."""
    with ordeal.admin() as connection:
        connection.execute("CHECKPOINT")
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            cursor = connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table)))
            names = [column.name for column in cursor.description or ()]
            for name, values in zip(names, zip(*cursor.fetchall(), strict=True), strict=False):
                (folder / f"column-{table}.{name}").write_bytes(b"\n".join(map(_as_bytes, values)))


def write_bundle(ordeal: Ordeal, folder: Path) -> None:
    """The bundle's members, unpacked."""
    bundle = ordeal.stack.state_dir / "objects" / "batches" / BATCH / "bundle.zip"
    with zipfile.ZipFile(bundle) as members:
        for name in members.namelist():
            (folder / f"bundle-{name}").write_bytes(members.read(name))


def files_under(folder: Path, *, but: Iterable[str] = ()) -> list[Path]:
    """Every file below a folder, without those below the named folders."""
    left_out = [folder / name for name in but]
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(path.is_relative_to(place) for place in left_out)
    ]


def found_in(files: list[Path], needles: Needles, scratch: Path) -> set[tuple[str, str]]:
    """Where which needle lies: file name and needle's name, nothing where all is well."""
    broken = {needle for needle in needles if b"\n" in needle}
    hits = {(path.name, needles[found]) for path, found in _by_grep(files, needles.keys() - broken, scratch)}
    for path in files:
        content = path.read_bytes()
        hits |= {(path.name, needles[needle]) for needle in broken if needle in content}
    return hits


def _by_grep(files: list[Path], needles: Iterable[bytes], scratch: Path) -> Iterator[tuple[Path, bytes]]:
    """Looks for tens of thousands of needles at once; none of them spans two lines."""
    patterns = scratch / "needles"
    patterns.write_bytes(b"\n".join(needles))
    command = ["grep", "--only-matching", "--text", "--fixed-strings", "--with-filename", "--null"]
    command += ["--file", str(patterns), "--", *map(str, files)]
    done = subprocess.run(command, env={"LC_ALL": "C"}, capture_output=True, check=False)
    patterns.unlink()
    assert done.returncode in {0, 1}, "a file could not be searched"
    for line in done.stdout.split(b"\n")[:-1]:
        name, _, found = line.partition(b"\0")
        yield Path(name.decode()), found


def _payloads(message: Message) -> Iterator[Payload]:
    for _, value in message.ListFields():
        parts = value.values() if hasattr(value, "values") else value if _is_list(value) else [value]
        for part in parts:
            if isinstance(part, Payload):
                yield part
            elif isinstance(part, Message):
                yield from _payloads(part)


def _is_list(value: Any) -> bool:
    return not isinstance(value, Message | str | bytes | int | float | bool)


def _as_bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False).encode()
    return str(value).encode()
