"""`watch` and `status`: where a batch stands, and what it waits for."""

import asyncio
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from workers.cli.exits import OUTCOME_EXITS, Exit
from workers.cli.options import AsJson, Batch, SettingsFile
from workers.cli.output import console, errors, print_json, print_pairs, print_table, printable
from workers.cli.session import Session, run
from workers.cli.standing import TERMINATED, standing

_POLL_SECONDS = 0.5
_STAGES = ("intake", "review", "screening", "derivation", "rollout", "late", "record", "ended")
_PAUSED = "yes: it goes on when enough have sent `walletworks resume`"


def status(batch: Batch, as_json: AsJson = False, settings: SettingsFile = None) -> None:
    """Show where a batch stands."""
    answer = run(lambda session: standing(session, batch), settings_path=settings)
    if as_json:
        print_json(answer)
    else:
        print_status(answer)
    if answer["cause"] == TERMINATED:
        raise typer.Exit(Exit.REFUSED)


def watch(
    batch: Batch,
    until: Annotated[
        str, typer.Option(help="Stop at this stage, or at `approval`; default: at the batch's end.")
    ] = "",
    as_json: AsJson = False,
    settings: SettingsFile = None,
) -> None:
    """Follow a batch with a progress bar; the exit code tells how it ended."""
    answer = run(lambda session: _follow(session, batch, until), settings_path=settings)
    if as_json:
        print_json(answer)
    else:
        print_status(answer)
    if answer["stage"] == "ended":
        raise typer.Exit(OUTCOME_EXITS.get(answer["outcome"], Exit.REFUSED))


def print_status(answer: dict[str, Any]) -> None:
    """Prints a status as tables."""
    waiting = answer["waiting_for"]
    print_pairs(
        f"batch {answer['batch_id']}",
        [
            ("stage", answer["stage"]),
            ("outcome", answer["outcome"] or "-"),
            *([] if answer["cause"] in (None, answer["outcome"]) else [("cause", answer["cause"])]),
            *[("reason", reason) for reason in answer["reasons"]],
            *([("paused", _PAUSED)] if is_paused(answer) else []),
            ("waits for", describe_waiting(waiting)),
            ("plan digest", answer["plan_digest"] or "-"),
            ("evidence digest", answer["evidence_digest"] or "-"),
            *[(name.replace("_", " "), f"{count:,}") for name, count in answer["counts"].items()],
        ],
    )
    if answer["waves"]:
        rows = [(w["wave"], f"{w['percent']} %", f"{w['wallets']:,}", w["state"]) for w in answer["waves"]]
        print_table("waves", ("wave", "up to", "wallets", "state"), rows)
    if answer["messages_refused"]:
        refused = [(m["at"], m["message"], m["reason"]) for m in answer["messages_refused"]]
        print_table("messages refused", ("at", "message", "reason"), refused)


def is_paused(answer: dict[str, Any]) -> bool:
    """Whether a batch stands still until a resume counts; an ended one does not, whatever it was."""
    return bool(answer["paused"]) and answer["stage"] != "ended"


def describe_waiting(waiting: dict[str, str] | None) -> str:
    """Gives what a batch waits for as one phrase."""
    if not waiting:
        return "nothing"
    until = f" until {waiting['until']}" if waiting["until"] else ""
    return f"{waiting['kind']} {waiting['name']}{until}".replace("  ", " ")


def bars_on(screen: Console) -> Progress:
    """Gives the progress bar; what it describes is text, never markup."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=screen,
        transient=not console.is_terminal,
    )


async def _follow(session: Session, batch: str, until: str) -> dict[str, Any]:
    with bars_on(errors) as bars:
        bar = bars.add_task(printable(batch), total=None)
        while True:
            answer = await standing(session, batch)
            counts = answer["counts"]
            total = (counts["clear"] or counts["subjects"]) * len(answer["chains"])
            waits = describe_waiting(answer["waiting_for"])
            note = ", paused" if is_paused(answer) else ""
            note += "" if waits == "nothing" else f", waits for {waits}"
            bars.update(
                bar,
                description=printable(f"{batch}: {answer['stage']}{note}"),
                completed=counts["active"] or counts["ready"],
                total=total or None,
            )
            if _is_there(answer, until):
                return answer
            await asyncio.sleep(_POLL_SECONDS)


def _is_there(answer: dict[str, Any], until: str) -> bool:
    waiting = answer["waiting_for"] or {}
    if answer["stage"] == "ended" or (until and until == waiting.get("kind")):
        return True
    return until in _STAGES and _STAGES.index(answer["stage"]) >= _STAGES.index(until)
