"""A crowd that approves: signals, each sent twice, for the open gate and for gates that are not open yet."""

import asyncio
from contextlib import suppress
from typing import Any, Final

from temporalio.service import RPCError

from infra.demo.cast import COMPLIANCE, WALLETS
from tests.chaos.faults.kinds import Fault
from tests.chaos.faults.world import World
from tests.patience import ANSWERS_WITHIN, Patience

CROWD: Final = (WALLETS, COMPLIANCE)
_TIMES: Final = 2


async def shout(world: World, fault: Fault, victim: str) -> int:
    """Every message twice, in an order drawn by chance; gives how many signals got through."""
    del fault, victim
    status = await Patience(world.office, world.batch_id).status()
    if status is None:
        return 0
    gates = [gate for gate in status["gates"] if gate["gate"] != "rollback"]
    early = [{"gate": f"wave/{len(status['waves']) + 2}", "digest": gate["digest"]} for gate in gates[-1:]]
    wanted = [(gate, member) for gate in gates[-1:] + early for member in CROWD]
    messages = [
        await asyncio.to_thread(world.office.message, world.batch_id, gate, member) for gate, member in wanted
    ]
    shouted = messages * _TIMES
    world.chance.shuffle(shouted)
    return sum([await _sent(world, message) for message in shouted])


async def _sent(world: World, message: dict[str, Any]) -> bool:
    with suppress(RPCError, TimeoutError):
        async with asyncio.timeout(ANSWERS_WITHIN):
            await world.office.handle(world.batch_id).signal("approve", message)
        return True
    return False
