"""The second derivation path: a process of its own that derives every address again by another library.

Run as `python -m activities.custody.second_path`: a job on standard input (one JSON line, then one line
`index address` per wallet), one JSON line of findings on standard output. It imports nothing of the fast
path, opens the stored seed itself, and says of any trouble only one word of a fixed list.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from random import SystemRandom
from typing import IO, Any, Final

from bip_utils import (
    Bip39MnemonicGenerator,
    Bip39SeedGenerator,
    Bip44,
    Bip44Changes,
    Bip44Coins,
)

from activities.custody.hardening import end_with_parent, harden_process
from activities.custody.pure_check import PureBranch
from activities.custody.scope import SealScope
from activities.custody.second_opener import OpenerError, open_seed

VERSION: Final = 1
INCOMPLETE: Final = "incomplete"
"""The word for any trouble that has no word of its own."""
MISMATCHES_LISTED_MAX: Final = 100
"""One mismatch stops a batch; more are only told so that a person sees the pattern."""
SAMPLE_MIN: Final = 100
SAMPLE_ONE_IN: Final = 100
"""The pure-Python curve derives a random 1 % again, and at least 100 addresses of each job."""

_COINS: Final[Mapping[str, Bip44Coins]] = {"evm": Bip44Coins.ETHEREUM}
_PURE: Final[Mapping[str, Callable[..., PureBranch]]] = {"evm": PureBranch}


def seed_again(entropy: bytes) -> bytes:
    """Gives the BIP-39 seed of an entropy."""
    mnemonic = Bip39MnemonicGenerator().FromEntropy(entropy)
    return bytes(Bip39SeedGenerator(mnemonic).Generate())


def rederive(seed: bytes, *, family: str, account: int, indexes: Iterable[int]) -> Iterator[tuple[int, str]]:
    """Gives each index with the address this path finds."""
    branch = Bip44.FromSeed(seed, _COINS[family]).Purpose().Coin().Account(account)
    change = branch.Change(Bip44Changes.CHAIN_EXT)
    for index in indexes:
        yield index, str(change.AddressIndex(index).PublicKey().ToAddress())


def compare(job: Mapping[str, Any], lines: Iterable[str]) -> dict[str, Any]:
    """Gives what a job found: how many were derived again, how many by the pure curve, which differ.

    Raises: ValueError for a job that ends before the count it announced.
    """
    if job["family"] not in _COINS:
        raise ValueError
    wanted = [(int(index), address) for index, address in map(str.split, lines)]
    if len(wanted) != job["count"]:
        raise ValueError
    scope, family, account = SealScope(**job["scope"]), job["family"], job["account"]
    seed = seed_again(open_seed(job["key_service"], job["sealed"], scope))
    found = rederive(seed, family=family, account=account, indexes=[index for index, _ in wanted])
    mismatches = {
        index for (index, address), again in zip(wanted, found, strict=True) if again != (index, address)
    }
    pure, sample = _PURE[family](seed, account=account), _sample(len(wanted))
    mismatches |= {wanted[at][0] for at in sample if pure.address(wanted[at][0]) != wanted[at][1]}
    return {
        "v": VERSION,
        "checked": len(wanted),
        "sampled": len(sample),
        "mismatch_count": len(mismatches),
        "mismatches": sorted(mismatches)[:MISMATCHES_LISTED_MAX],
    }


def _sample(count: int) -> Sequence[int]:
    """Gives the positions that nobody could foresee at which the pure curve derives as well."""
    size = min(count, max(SAMPLE_MIN, -(-count // SAMPLE_ONE_IN)))
    return SystemRandom().sample(range(count), size)


def main(job_stream: IO[str], answer_stream: IO[str]) -> None:
    """Works one job and writes its findings, or the one word that says why there are none."""
    try:
        harden_process()
        end_with_parent()
        answer = compare(json.loads(job_stream.readline()), job_stream)
    except OpenerError as error:
        answer = {"v": VERSION, "error": str(error)}
    except Exception:  # noqa: BLE001 - the door of this process: nothing of the trouble is told
        answer = {"v": VERSION, "error": INCOMPLETE}
    answer_stream.write(json.dumps(answer) + "\n")
    answer_stream.flush()


if __name__ == "__main__":
    main(sys.stdin, sys.stdout)
