"""Subjects of these tests' batches as source files; nobody in them is a real person."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Final

from infra.demo.people import NEAR_MATCHES

COLUMNS: Final = ("subject_id", "subject_kind", "full_name", "date_of_birth", "country", "kyc_reference")

Row = dict[str, str]


def people(batch_id: str, count: int, *, held: int = 0) -> list[Row]:
    """Subjects with ids no other batch has; the first `held` have names of the demo's lists."""
    rows = [
        {
            "subject_id": f"{batch_id}:{number}",
            "subject_kind": "person",
            "full_name": f"Testa Persona {chr(ord('A') + number % 26)}",
            "date_of_birth": "1980-01-02",
            "country": "SG",
            "kyc_reference": f"KYC-{number:06d}",
        }
        for number in range(count)
    ]
    for row, near in zip(rows, NEAR_MATCHES[:held], strict=False):
        row |= {"full_name": near.full_name, "date_of_birth": near.born.isoformat(), "country": near.country}
    return rows


def csv_of(rows: Sequence[Mapping[str, str]]) -> str:
    """The rows as a source file."""
    sink = io.StringIO()
    writer = csv.DictWriter(sink, fieldnames=COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return sink.getvalue()
