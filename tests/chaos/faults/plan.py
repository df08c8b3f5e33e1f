"""Which faults fall in a run, in which order, on whom, when: all of it drawn from one seed."""

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from tests.chaos.faults import connections, crowd, disk, processes, services, transactions
from tests.chaos.faults.kinds import KILLED, WORKER_AT_WORK, WORKERS, Fault
from tests.chaos.faults.world import World

MARKS: Final = (
    "batch.claimed",
    "batch.planned",
    "gate.closed",
    "lists.pinned",
    "evidence.sealed",
    "keyring.intent",
    "keyring.opened",
    "range.verified",
    "wave.opened",
    "wave.closed",
    "hold.settled",
)
"""Entries of a batch's audit log in the order in which they first appear: the moments of a short run."""

WHEN_AT_WORK: Final[Mapping[str, tuple[str, ...]]] = {
    "provisioning-worker": MARKS,
    "custody-worker": ("evidence.sealed", "keyring.intent", "keyring.opened"),
    "temporal": MARKS,
    "postgres": MARKS,
}
"""What is killed in a short run, and the moments at which it has something to lose."""

WHEN_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "openbao": ("batch.claimed", "lists.pinned", "keyring.intent", "keyring.opened"),
    "receiver": ("wave.opened",),
}
"""Services that a batch needs only now and then, and the moments after which it does."""

DELAY_SECONDS_MAX: Final = 0.4
"""After its moment a fault falls somewhere within the work that follows."""

_KILL_WEIGHTS: Final[Mapping[str, float]] = {
    WORKER_AT_WORK: 0.56,
    "custody-worker": 0.08,
    "postgres": 0.13,
    "temporal": 0.13,
    "openbao": 0.10,
}
"""Shares of the kills of a long run."""

Hand = Callable[[World, Fault, str], Awaitable[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One kind of fault that is no kill: whom it hits, what it does, and for how many seconds."""

    kind: str
    victims: tuple[str, ...]
    hand: Hand
    lasts: tuple[float, float] = (0.0, 0.0)
    short: float | None = 0.0
    """Seconds in a short run; None keeps it out of there."""


_AT_WORK: Final = (WORKER_AT_WORK,)
_DATABASE: Final = ("postgres",)
_KEYS: Final = ("openbao",)
_RECEIVER: Final = ("receiver",)

RECIPES: Final = (
    Recipe(kind="stopped", victims=_AT_WORK, hand=processes.stop, lasts=(0.5, 5.0), short=1.5),
    Recipe(kind="stopped for long", victims=WORKERS, hand=processes.stop, lasts=(11, 15), short=None),
    Recipe(kind="sessions cut", victims=_DATABASE, hand=connections.cut_at_any_time, lasts=(0, 2), short=0.2),
    Recipe(kind="cut after commit", victims=_DATABASE, hand=connections.cut_after_commit),
    Recipe(kind="deadlock", victims=_DATABASE, hand=transactions.deadlock),
    Recipe(
        kind="serialisation failure",
        victims=_DATABASE,
        hand=transactions.serialisation_failure,
        lasts=(1, 4),
        short=1.0,
    ),
    Recipe(kind="disk full", victims=_DATABASE, hand=disk.fill, lasts=(2, 6), short=1.0),
    Recipe(kind="sealed", victims=_KEYS, hand=services.seal, lasts=(1, 6), short=1.0),
    Recipe(kind="slow", victims=_KEYS, hand=services.spoil_key_service, lasts=(2, 8), short=None),
    Recipe(kind="garbled", victims=_KEYS, hand=services.spoil_key_service, lasts=(1, 6), short=1.0),
    Recipe(kind="lying", victims=_KEYS, hand=services.spoil_key_service, lasts=(1, 6), short=1.0),
    Recipe(kind="down", victims=_RECEIVER, hand=services.spoil_receiver, lasts=(1, 6), short=1.0),
    Recipe(kind="failing", victims=_RECEIVER, hand=services.spoil_receiver, lasts=(1, 6), short=1.0),
    Recipe(kind="late", victims=_RECEIVER, hand=services.spoil_receiver, lasts=(2, 8), short=None),
    Recipe(kind="redirecting", victims=_RECEIVER, hand=services.spoil_receiver, lasts=(1, 6), short=1.0),
    Recipe(kind="hanging", victims=_RECEIVER, hand=services.spoil_receiver, lasts=(2, 8), short=None),
    Recipe(kind="signals twice and early", victims=("crowd",), hand=crowd.shout),
)
"""Every kind of fault but the kills."""

HANDS: Final[Mapping[str, Hand]] = {KILLED: processes.kill} | {each.kind: each.hand for each in RECIPES}
"""What each kind of fault does."""

SHORT_COUNT: Final = 5
"""Faults beside the four kills in a short run."""


def plan_storm(seed: int, *, kills: int, others: int) -> list[Fault]:
    """The faults of a long run in their order, each after the first progress since the last."""
    chance = _chance(seed)
    killed = chance.choices(list(_KILL_WEIGHTS), list(_KILL_WEIGHTS.values()), k=kills)
    faults = [_fault(chance, KILLED, victim, 0.0) for victim in killed]
    for number in range(others):
        recipe = RECIPES[number % len(RECIPES)]
        victim = chance.choice(recipe.victims)
        faults.append(_fault(chance, recipe.kind, victim, chance.uniform(*recipe.lasts)))
    chance.shuffle(faults)
    return faults


def plan_ordeal(seed: int) -> list[Fault]:
    """The faults of a short run in the order of their moments: everybody killed once, and a few more."""
    chance = _chance(seed)
    faults = [
        _fault(chance, KILLED, victim, 0.0, mark=chance.choice(marks))
        for victim, marks in WHEN_AT_WORK.items()
    ]
    for recipe in chance.sample([each for each in RECIPES if each.short is not None], SHORT_COUNT):
        victim = chance.choice(recipe.victims)
        mark = chance.choice(WHEN_NEEDED.get(victim, MARKS[:-2]))
        faults.append(_fault(chance, recipe.kind, victim, recipe.short or 0.0, mark=mark))
    chance.shuffle(faults)
    return sorted(faults, key=lambda fault: MARKS.index(fault.mark))


def _fault(chance: random.Random, kind: str, victim: str, lasts: float, *, mark: str = "") -> Fault:
    delay = chance.uniform(0, DELAY_SECONDS_MAX)
    return Fault(kind=kind, victim=victim, mark=mark, delay_seconds=delay, lasts_seconds=lasts)


def _chance(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - a repeatable plan, nothing secret
