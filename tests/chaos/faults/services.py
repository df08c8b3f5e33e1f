"""Services that others run: a sealed, slow or lying key service, a receiver of announcements that is down."""

import asyncio

from tests.chaos.between import key_service_proxy, receiver
from tests.chaos.between.key_service_proxy import KeyServiceProxy
from tests.chaos.between.receiver import Receiver
from tests.chaos.faults.kinds import Fault
from tests.chaos.faults.world import World
from tests.waiting import let_time_pass


async def seal(world: World, fault: Fault, victim: str) -> int:
    """The key service is sealed, and opened again later."""
    del victim
    await asyncio.to_thread(world.stack.seal)
    try:
        await let_time_pass(fault.lasts_seconds)
    finally:
        await asyncio.to_thread(world.stack.unseal)
    return 1


async def spoil_key_service(world: World, fault: Fault, victim: str) -> int:
    """The key service answers slowly, unreadably or with lies; gives how many answers were spoilt."""
    del victim
    return await _spoilt(world.key_service, fault, then=key_service_proxy.STRAIGHT)


async def spoil_receiver(world: World, fault: Fault, victim: str) -> int:
    """The receiver of announcements misbehaves; gives how many calls it did not answer well."""
    del victim
    return await _spoilt(world.receiver, fault, then=receiver.GOOD)


async def _spoilt(service: KeyServiceProxy | Receiver, fault: Fault, *, then: str) -> int:
    before = service.spoilt
    service.mode = fault.kind
    try:
        await let_time_pass(fault.lasts_seconds)
    finally:
        service.mode = then
    return service.spoilt - before
