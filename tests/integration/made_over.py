"""The kept bundle of a batch that went all the way, made over to keys that the test holds."""

import copy
import json
from pathlib import Path
from typing import Any, Final

from activities.evidence import layout
from tests.integration.builder_rows import detail_of, hold_of
from tests.integration.builders import HELD_EARLY, HELD_LATE, HELD_REFUSED, REFUSED, WITHHELD
from tests.integration.office import Office
from tests.integration.pages import Row
from tests.integration.resealing import Dossier
from tests.integration.tampering import members

KEPT: Final = Path(__file__).with_name("kept_bundles") / "002.zip"
HELD: Final = (HELD_EARLY, HELD_LATE, HELD_REFUSED)


def made_over(office: Office) -> Dossier:
    """Gives the bundle with everything signed by the office and subjects of its own."""
    parts = {name: _read(name, raw) for name, raw in members(KEPT).items()}
    made = Dossier(office=office, parts=parts, subjects=[], was=copy.deepcopy(parts))
    made.subjects = [_subject(made.request["batch_id"], number) for number in range(12)]
    made.reroot_subjects()
    made.sign_request(by=office.requester)
    made.reseal()
    # Statements that name no plan are still as they were.
    for row in made.parts[layout.APPROVALS]:
        made.restate(row, row["statement"], by=made.signer_of(row))
    made.reseal()
    return made


def _read(name: str, raw: bytes) -> Any:
    if name == layout.RESTRICTED:
        return ""
    if name.endswith(".jsonl"):
        rows = [json.loads(line) for line in raw.splitlines()]
        return [{**row, "body": json.loads(row["body"])} for row in rows] if name == layout.AUDIT else rows
    return json.loads(raw) if name.endswith(".json") else raw.decode()


def _subject(batch_id: str, number: int) -> Row:
    clear = number not in (*HELD, REFUSED)
    row: Row = {
        "ordinal": number,
        "row": {"subject_id": f"s-{number}", "full_name": f"Person Number {number}", "country": "SG"},
        "salt": f"{number:032x}",
        "leaf": "",
        "verdict": "held" if number in HELD else "clear" if clear else "refused",
        "score": "0.00" if clear else "0.91",
        "verdict_leaf": "",
        "hold_digest": hold_of(batch_id, number) if number in HELD else None,
        "verdict_detail": None if clear else detail_of(number),
        "withholding_detail": detail_of(number) if number == WITHHELD else None,
    }
    return row
