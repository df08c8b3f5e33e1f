"""Every command of the command line in each form that has an exit code of its own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from infra.demo.cast import REQUESTER, TENANT, Member
from workers.cli.exits import Exit

GOOD: Final = "good"
REFUSED: Final = "refused"
WRONG_USE: Final = "wrong use"
UNREACHABLE: Final = "unreachable"

NOBODYS: Final = "nobodys-batch"
"""A batch id that nobody ever used."""

DEAD_ADDRESS: Final = "127.0.0.1:9"
"""Nothing listens on the port of the discard service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One command as one member types it, and the exit code it must end with, every time."""

    arguments: tuple[str, ...]
    form: str
    code: int
    member: Member = REQUESTER
    address: str = ""
    detail: str = ""

    @property
    def name(self) -> str:
        """Its row in the table."""
        return " ".join(part for part in (self.arguments[0], self.form, self.detail) if part)


_REASON: Final = ("--reason", "soaked")

USES: Final[Mapping[str, tuple[str, ...]]] = {
    "submit": ("people.csv", "--tenant", TENANT, "--chains", "ethereum", "--batch-id", NOBODYS),
    "watch": (NOBODYS,),
    "status": (NOBODYS,),
    "inbox": (),
    "show": (NOBODYS,),
    "approve": (NOBODYS, "--yes", *_REASON),
    "reject": (NOBODYS, "--yes", *_REASON),
    "adjudicate": (NOBODYS, "--hold", "0" * 64, "--decision", "refuse", *_REASON),
    "statement": (NOBODYS, *_REASON),
    "pause": (NOBODYS, *_REASON),
    "resume": (NOBODYS, *_REASON),
    "abort": (NOBODYS, *_REASON),
    "holds": (NOBODYS,),
    "wallets": (NOBODYS,),
    "why": (NOBODYS, "S-1"),
    "bundle": (NOBODYS,),
    "verify": ("people.csv",),
}
"""Each command rightly used, for a batch that nobody has."""

_NEEDS_NO_BATCH: Final = {"submit", "inbox"}
_OFFLINE: Final = {"verify"}


def standing_forms() -> Iterator[Form]:
    """The forms that need no batch: refused, wrongly used, and with the engine away."""
    for command, use in USES.items():
        yield Form(arguments=(command, *use, "--no-such-option"), form=WRONG_USE, code=Exit.WRONG_USE)
        if command not in _NEEDS_NO_BATCH:
            yield Form(arguments=(command, *use), form=REFUSED, code=Exit.REFUSED)
        if command not in _OFFLINE:
            yield Form(
                arguments=(command, *use), form=UNREACHABLE, code=Exit.UNREACHABLE, address=DEAD_ADDRESS
            )
