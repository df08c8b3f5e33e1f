"""Derivations per second of the fast path, beside a bare loop of the curve library's key creation.

Ratios are taken within one round, because a shared machine changes from one to the next.

Run: python -m tests.bench.bench_derivation [count]
"""

import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.pool import Pool
from statistics import median

from activities.keys.derivation import derive_wallets
from activities.keys.evm_derivation import derive_addresses
from activities.keys.possession import PossessionContext
from activities.keys.secp256k1 import open_slot
from tests.bench.measures import Bar, Measure, print_measures

ROUNDS = 5
COUNT_DEFAULT = 30_000
WARM_UP = 20
TABLE = "ethereum derivation"
BARE = "bare key creation"
"""Stands in for the C limit: the library's own loop over its public interface, within a few per cent."""

SEED = bytes.fromhex(
    "5eb00bbddcf069084889a8ab9155568165f5c453ccb85e70811aaed6f6da5fc1"
    "9a5ac40b389cd370d086206dec8aa6c43daea6690f20ad3d8d48b2d2ce9e38e4"
)
CONTEXT = PossessionContext(deployment="bench", batch_id="bench", plan_digest="00" * 32)


def bare_loop(count: int) -> None:
    """Creates public keys and nothing else: what no derivation through this library can beat."""
    with open_slot((7).to_bytes(32, "big")) as slot:
        slot.load((1).to_bytes(32, "big"))
        point = slot.point
        for _ in range(count):
            point()


def addresses(count: int) -> None:
    """Derives checksummed addresses."""
    derive_addresses(SEED, 0, range(count))


def signed(chain_ids: tuple[str, ...]) -> Callable[[int], None]:
    """Derives addresses and signs a possession text for each chain."""

    def run(count: int) -> None:
        derive_wallets(SEED, account=0, indexes=range(count), chain_ids=chain_ids, context=CONTEXT)

    return run


def rate(run: Callable[[int], None], count: int) -> float:
    """Items per second of one run."""
    started = time.perf_counter()
    run(count)
    return count / (time.perf_counter() - started)


def rate_of_two(run: Callable[[int], None], count: int, pool: Pool) -> float:
    """Items per second of two processes that run at the same time."""
    started = time.perf_counter()
    pool.map(run, (count, count), chunksize=1)
    return 2 * count / (time.perf_counter() - started)


def measure(count: int) -> list[Measure]:
    """Gives each contender's median rate, and the median of its ratios to the bare loop."""
    alone: dict[str, Callable[[int], None]] = {
        "addresses": addresses,
        "addresses, possession on 1 chain": signed(("ethereum",)),
        "addresses, possession on 3 chains": signed(("ethereum", "bsc", "polygon")),
    }
    with get_context("spawn").Pool(2) as pool:
        pool.map(addresses, (WARM_UP, WARM_UP), chunksize=1)
        rounds = [_round(alone, count, pool) for _ in range(ROUNDS)]
    return [
        *_figures(rounds, BARE),
        *_figures(rounds, "addresses", BARE, bar=Bar(bound=0.75)),
        *(figure for name in list(alone)[1:] for figure in _figures(rounds, name, BARE)),
        *_figures(rounds, f"{BARE}, two processes"),
        *_figures(rounds, "addresses, two processes", f"{BARE}, two processes", bar=Bar(bound=0.70)),
    ]


def _round(alone: dict[str, Callable[[int], None]], count: int, pool: Pool) -> dict[str, float]:
    return {
        BARE: rate(bare_loop, count),
        **{name: rate(run, count) for name, run in alone.items()},
        f"{BARE}, two processes": rate_of_two(bare_loop, count, pool),
        "addresses, two processes": rate_of_two(addresses, count, pool),
    }


def _figures(
    rounds: list[dict[str, float]], name: str, limit: str = "", *, bar: Bar | None = None
) -> list[Measure]:
    per_second = median(one[name] for one in rounds)
    found = [Measure(table=TABLE, name=name, value=per_second, unit="/s")]
    if limit:
        ratio = median(one[name] / one[limit] for one in rounds)
        unit = "of bare key creation"
        found.append(Measure(table=TABLE, name=name, value=ratio, unit=unit, bar=bar))
    return found


if __name__ == "__main__":
    print_measures(measure(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT_DEFAULT))
