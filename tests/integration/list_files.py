"""Small lists in the authorities' own formats, written for one test."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path

OFAC = "ofac-sdn"
_END = b"\x1a\r\n"


def write_ofac(folder: Path, names: Mapping[int, str], *, published_on: date | None = None) -> str:
    """Writes an OFAC list of individuals by number and name; gives its digest (hex)."""
    target = folder / OFAC
    target.mkdir(parents=True, exist_ok=True)
    empty = ",".join(["-0- "] * 9)
    sdn = "".join(f'{number},"{name}","individual",{empty}\r\n' for number, name in names.items())
    first = next(iter(names))
    files = {
        "sdn.csv": sdn.encode() + _END,
        "alt.csv": f'{first},1,"aka","{names[first]} JUNIOR",-0- \r\n'.encode() + _END,
    }
    for name, content in files.items():
        (target / name).write_bytes(content)
    provenance = {
        "source": "test",
        "published_on": (published_on or datetime.now(tz=UTC).date()).isoformat(),
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        "entry_count": len(names),
    }
    (target / "provenance.json").write_text(json.dumps(provenance))
    return hashlib.sha256(files["sdn.csv"] + files["alt.csv"]).hexdigest()
