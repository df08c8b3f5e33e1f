"""Derivations per second of the fast path, beside a bare loop of the curve library's key creation.

Run: python -m tests.bench.bench_derivation [count]
"""

import sys
import time
from collections.abc import Callable
from statistics import median

from activities.keys.derivation import derive_wallets
from activities.keys.evm_derivation import derive_addresses
from activities.keys.possession import PossessionContext
from activities.keys.secp256k1 import open_slot

ROUNDS = 5
COUNT_DEFAULT = 30_000
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


def main(count: int) -> None:
    """Prints the median rate of each contender and the median of its ratios to the bare loop."""
    contenders: dict[str, Callable[[int], None]] = {
        "bare key creation": bare_loop,
        "addresses": addresses,
        "addresses, possession on 1 chain": signed(("ethereum",)),
        "addresses, possession on 3 chains": signed(("ethereum", "bsc", "polygon")),
    }
    rounds = [{name: rate(run, count) for name, run in contenders.items()} for _ in range(ROUNDS)]
    for name in contenders:
        ratio = median(one[name] / one["bare key creation"] for one in rounds)
        per_second = median(one[name] for one in rounds)
        sys.stdout.write(f"{name:36}{per_second:10,.0f} /s   {ratio:.2f} of bare key creation\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT_DEFAULT)
