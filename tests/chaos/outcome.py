"""What came of a long run, as tables for people and as JSON."""

import json
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from tests.chaos.faults.kinds import KILLED, Recovery
from tests.chaos.options import Options

_WIDTH: Final = 118


@dataclass(kw_only=True)
class Outcome:
    """`checks` counts by check the batches it was made on; `wrong` holds by check what does not hold."""

    recoveries: list[Recovery] = field(default_factory=list)
    batches: dict[str, int] = field(default_factory=dict)
    checks: dict[str, int] = field(default_factory=dict)
    wrong: dict[str, list[str]] = field(default_factory=dict)
    disk: str = ""
    seconds: float = 0.0

    @property
    def kills(self) -> int:
        """How many processes were killed."""
        return sum(recovery.fault.kind == KILLED for recovery in self.recoveries)

    def note(self, check: str, found: Sequence[str], *, of: str = "") -> None:
        """Notes that a check was made, and what it found."""
        self.checks[check] = self.checks.get(check, 0) + 1
        if found:
            self.wrong.setdefault(check, []).extend(f"{of}: {each}" if of else each for each in found)


def print_outcome(outcome: Outcome, options: Options, console: Console) -> None:
    """Prints the faults with their recoveries, and what holds."""
    console.print(_faults(outcome))
    console.print(_checks(outcome))
    for check, found in outcome.wrong.items():
        for each in found[:20]:
            console.print(f"WRONG  {check}: {each}")
    console.print(
        f"seed {options.seed}: {outcome.kills} kills and {len(outcome.recoveries) - outcome.kills} other"
        f" faults over {sum(outcome.batches.values()):,} subjects in {len(outcome.batches)} batches,"
        f" {outcome.seconds:.0f} s; the full disk was {outcome.disk or 'never made'}"
    )


def write_json(outcome: Outcome, options: Options, path: Path) -> None:
    """Writes all of it: each recovery, the figures by kind, each check."""
    said = {
        "seed": options.seed,
        "command": options.command,
        "kills": outcome.kills,
        "batches": outcome.batches,
        "seconds": outcome.seconds,
        "full_disk": outcome.disk,
        "kinds": [_figures(name, found) for name, found in _by_name(outcome)],
        "checks": outcome.checks,
        "wrong": outcome.wrong,
        "recoveries": [asdict(each) for each in outcome.recoveries],
    }
    path.write_text(json.dumps(said, indent=2) + "\n")


def _by_name(outcome: Outcome) -> list[tuple[str, list[Recovery]]]:
    found: dict[str, list[Recovery]] = defaultdict(list)
    for recovery in outcome.recoveries:
        found[recovery.name].append(recovery)
    return sorted(found.items(), key=lambda item: (item[1][0].fault.kind != KILLED, item[0]))


def _figures(name: str, found: list[Recovery]) -> dict[str, Any]:
    return {
        "fault": name,
        "count": len(found),
        "bit": sum(each.bites > 0 for each in found),
        "back_seconds": _spread([each.back_seconds for each in found]),
        "went_on_seconds": _spread([each.progress_seconds for each in found]),
    }


def _spread(seconds: list[float]) -> list[float]:
    return [round(each, 2) for each in (min(seconds), statistics.median(seconds), max(seconds))]


def _faults(outcome: Outcome) -> Table:
    table = Table(title="seconds from each fault: min / median / max", title_justify="left", width=_WIDTH)
    for column in ("fault", "count", "bit", "until the victim was back", "until the batch went on"):
        table.add_column(column, justify="left" if column == "fault" else "right")
    for name, found in _by_name(outcome):
        figures = _figures(name, found)
        spreads = (figures["back_seconds"], figures["went_on_seconds"])
        shown = [" / ".join(f"{each:.1f}" for each in spread) for spread in spreads]
        table.add_row(name, str(figures["count"]), str(figures["bit"]), *shown)
    return table


def _checks(outcome: Outcome) -> Table:
    table = Table(title="what must hold afterwards", title_justify="left", width=_WIDTH)
    for column in ("check", "made", "result"):
        table.add_column(column)
    for check in sorted(outcome.checks | dict.fromkeys(outcome.wrong, 0)):
        wrong = len(outcome.wrong.get(check, ()))
        table.add_row(check, str(outcome.checks.get(check, 0)), f"{wrong} WRONG" if wrong else "holds")
    return table
