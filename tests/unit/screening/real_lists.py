"""The published lists of the vectors, laid out as the system expects them."""

import csv
import hashlib
import json
import shutil
from datetime import date
from pathlib import Path

from tests.vectors import vectors_dir


def ofac_folder(target: Path, edition: str, published_on: date, *, end_mark: bool = True) -> Path:
    """Lays out one OFAC edition with its sidecar under `target`."""
    folder = target / "ofac-sdn"
    folder.mkdir(parents=True, exist_ok=True)
    source = vectors_dir() / "sanctions" / "ofac" / edition
    for name in ("sdn.csv", "alt.csv"):
        shutil.copyfile(source / name, folder / name)
    with (folder / "sdn.csv").open(encoding="utf-8", newline="") as stream:
        count = sum(len(row) == 12 for row in csv.reader(stream))
    write_provenance(folder, published_on=published_on, entry_count=count, end_mark=end_mark)
    return target


def write_provenance(folder: Path, *, published_on: date, entry_count: int, end_mark: bool = True) -> None:
    """Writes the sidecar that vouches for whatever bytes lie in the folder now."""
    stated = {
        "source": "https://www.treasury.gov/ofac/downloads",
        "published_on": published_on.isoformat(),
        "sha256": {
            name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("sdn.csv", "alt.csv")
        },
        "entry_count": entry_count,
        "end_mark_missing": not end_mark,
    }
    (folder / "provenance.json").write_text(json.dumps(stated))


def un_folder(target: Path) -> Path:
    """Lays out the UN edition under `target`."""
    folder = target / "un-consolidated"
    folder.mkdir(parents=True, exist_ok=True)
    source = vectors_dir() / "sanctions" / "un" / "2026-02-27" / "UN_consolidated.xml"
    shutil.copyfile(source, folder / "consolidated.xml")
    return target
