"""True bundles of batches that were worked in other pieces, ended otherwise, or whose logs are of before."""

import copy
from typing import Any, Final

from activities.digests import withholding_root
from activities.evidence import layout
from tests.integration.pages import Row
from tests.integration.resealing import Dossier

_HALVES: Final = {"derive": "cd" * 32, "verify": "cd" * 32, "wave/2": "ef" * 32}
"""What stands for the root of a second half until it is made."""

_OF_NOW: Final = {
    "range.verified": ("first_position", "length", "row_count"),
    "lists.pinned": ("editions",),
    "list.changed": ("editions", "withheld_root"),
    "attempt.counted": ("signature_sha256", "message", "received_at"),
    "attempt.refused": ("signature_sha256", "message", "received_at"),
}


def told_as_before(made: Dossier) -> None:
    """A log that does not say yet what newer ones say."""
    for entry in made.parts[layout.AUDIT]:
        for name in _OF_NOW.get(entry["body"]["kind"], ()):
            del entry["body"][name]


def not_ended(made: Dossier) -> None:
    """Attested while it went on, its last wave still open."""
    made.parts[layout.WAVES]["waves"][-1]["outcome"] = ""
    made.untell("wave.closed", wave=3)
    made.untell("batch.ended")
    made.table["outcome"] = ""


def completed(made: Dossier) -> None:
    """All are active but the withheld one."""
    _ended_as(made, "completed")


def rolled_back(made: Dossier) -> None:
    """What was active is frozen, what was not is revoked."""
    _ended_as(made, "rolled_back")
    for wallet in made.parts[layout.WALLETS]:
        wallet["state"] = "frozen" if wallet["state"] == "active" else "revoked"
    for wave in made.parts[layout.WAVES]["waves"]:
        wave["outcome"] = "undone"
    made.tell("undo.activation", frozen=18, waves=3)
    made.tell("undo.derivation", revoked=2, burned_accounts=0)


def aborted_before_its_waves(made: Dossier) -> None:
    """No wave was opened, nothing was derived a second time, and no late addresses at all."""
    made.tell("undo.derivation", revoked=18, burned_accounts=0)
    _ended_as(made, "aborted")
    _not_yet_verified(made, "revoked")


def not_yet_verified(made: Dossier) -> None:
    """Attested when its first addresses were derived."""
    not_ended(made)
    _not_yet_verified(made, "derived")


def _not_yet_verified(made: Dossier, state: str) -> None:
    for wallet in made.parts[layout.WALLETS]:
        wallet |= {"state": state, "wave": None}
    made.parts[layout.WAVES] = {"waves": []}
    for wave, shard in ((1, "wave-1-0"), (2, "wave-2-0"), (3, "wave-3-1")):
        made.drop(layout.SLICES, stage=f"wave/{wave}")
        made.forget_chain(f"{made.chain}/{shard}/0000")
    for kind in ("wave.opened", "wave.closed"):
        made.untell(kind)
    made.drop(layout.SLICES, stage="verify")
    made.untell("range.verified")
    for name in (layout.SLICES, layout.WALLETS):
        made.drop(name, tranche=1)
    made.forget_chain(f"{made.chain}/derive-1/0000")


def in_two_slices(made: Dossier) -> None:
    """Addresses derived, verified and activated in two pieces."""
    for stage in _HALVES:
        _split(made, stage, at=6)
    made.parts[layout.SLICES].sort(key=lambda row: (row["stage"], row["tranche"], row["slice_index"]))
    made.reroot_wallets()


def with_more_list_changes(made: Dossier) -> None:
    """Another list and a newer edition hit one more subject each, of those without wallets."""
    first = made.told("list.changed")
    edition = first["editions"]["ofac-sdn"]
    made.parts[layout.LISTS]["lists"][-1]["entry_count"] = edition["entry_count"] = 11
    for wave, name, listed, ordinal in (
        (2, "un-consolidated", "44" * 32, 7),
        (3, "ofac-sdn", first["lists"]["ofac-sdn"], 8),
    ):
        row = {"list_id": name, "digest": listed, "applied_in_wave": wave, **edition}
        made.parts[layout.LISTS]["lists"].append(row)
        hit = {"ordinal": ordinal, "list_id": name, "list_digest": listed}
        made.parts[layout.WITHHOLDINGS].append({**hit, "before_wave": wave})
        made.tell(
            "list.changed",
            wave=wave,
            lists={name: listed},
            editions={name: edition},
            withheld=1,
            withheld_root=withholding_root([(ordinal, name, listed)]),
        )
    made.parts[layout.WITHHOLDINGS].sort(key=lambda row: row["ordinal"])


def _ended_as(made: Dossier, outcome: str) -> None:
    made.table["outcome"] = made.told("batch.ended")["outcome"] = outcome


def _split(made: Dossier, stage: str, *, at: int) -> None:
    first = made.row(layout.SLICES, stage=stage, tranche=0)
    second = {**first, "slice_index": 1, "first_position": at, "root": _HALVES[stage]}
    second["length"] = first["first_position"] + first["length"] - at
    first["length"] -= second["length"]
    made.parts[layout.SLICES].append(second)
    for row in (first, second):
        row["row_count"] = _wallets_in(made, row)
        row["counts"] = dict.fromkeys(row["counts"], row["row_count"])
    where: dict[str, Any] = {"tranche": 0} if stage == "verify" else {"tranche": 0, "stage": stage}
    for kind in ("range.verified",) if stage == "verify" else ("slice.intent", "slice.outcome"):
        _tell_both(made, made.entries(kind, **where)[0], first, second)


def _wallets_in(made: Dossier, part: Row) -> int:
    start, end = part["first_position"], part["first_position"] + part["length"]
    waves = {int(part["stage"].partition("/")[2])} if part["stage"].startswith("wave/") else {None, 1, 2}
    mine = made.rows(layout.WALLETS, tranche=0)
    return sum(start <= row["ordinal"] < end and row["wave"] in waves for row in mine)


def _tell_both(made: Dossier, entry: Row, first: Row, second: Row) -> None:
    log, other = made.parts[layout.AUDIT], copy.deepcopy(entry)
    log.insert(log.index(entry) + 1, other)
    for body, row in ((entry["body"], first), (other["body"], second)):
        said = {**row, **row["counts"]}
        body |= {name: said[name] for name in body if name in said}
