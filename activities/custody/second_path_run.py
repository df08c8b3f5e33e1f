"""Starts the second derivation path in a fresh process and reads what it found.

The process gets the sealed seed, never the open one, and the name of the token's file, never the token;
nothing of the job is in its arguments or environment.
"""

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import activities
from activities.custody.scope import SealScope
from activities.custody.sealing import SealedSeed
from activities.failures import (
    AccessDeniedError,
    IntegrityError,
    SealingIncompleteError,
    ServiceUnavailableError,
    WalletworksError,
)

MODULE: Final = "activities.custody.second_path"
START_SECONDS: Final = 60
"""Allowed for starting the process and opening the seed: about 1 s on an idle machine."""
ADDRESSES_PER_SECOND_MIN: Final = 500
"""Slowest pace allowed: measured is some twenty times as much on one core."""

_PACKAGE_ROOT: Final = str(Path(activities.__path__[0]).parent)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyServiceAddress:
    """Where a process finds the key service and its token; both are names, not secrets."""

    address: str
    token_file: Path
    key: str = "seed"
    mount: str = "transit"
    ca_file: Path | None = None
    namespace: str | None = None
    provider: str = "transit"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondPathJob:
    """One range of stored wallets to be derived again."""

    key_service: KeyServiceAddress
    sealed: SealedSeed
    scope: SealScope
    family: str
    account: int
    count: int
    expected: Iterable[tuple[int, str]]
    """Index and stored address of each wallet, `count` of them; read once, as a stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondPathReport:
    """What the second path found."""

    checked: int
    """Addresses derived again by the second library."""
    sampled: int
    """How many of them also by the pure-Python curve."""
    mismatch_count: int
    mismatches: tuple[int, ...]
    """The first indexes that differ."""


def run_second_path(job: SecondPathJob) -> SecondPathReport:
    """Gives what a fresh process finds when it derives every address of a range again.

    Differences are a value here; whoever asked decides what they mean.

    Raises:
        ServiceUnavailableError: the key service cannot be reached from the process.
        AccessDeniedError: it refuses the token.
        IntegrityError: the stored seed does not open.
        SealingIncompleteError: the process broke off, took too long, or answered something else.

    Retry: changes nothing, so any number of runs is harmless.
    """
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", MODULE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"PYTHONPATH": _PACKAGE_ROOT},
        encoding="ascii",
    )
    answer = ""
    try:
        seconds = START_SECONDS + job.count / ADDRESSES_PER_SECOND_MIN
        with suppress(subprocess.TimeoutExpired):
            answer, _ = process.communicate(_written(job), timeout=seconds)
    finally:
        process.kill()
        process.wait()
    return _report(answer, job)


def _written(job: SecondPathJob) -> str:
    """Gives the job as text: one JSON line, then one line per wallet."""
    service, sealed = asdict(job.key_service), job.sealed
    head = {
        "key_service": {**service, "token_file": str(service["token_file"]), "ca_file": _named(job)},
        "sealed": {
            "ciphertext": sealed.ciphertext.hex(),
            "nonce": sealed.nonce.hex(),
            "wrapped_key": sealed.wrapped_key,
        },
        "scope": asdict(job.scope),
        "family": job.family,
        "account": job.account,
        "count": job.count,
    }
    lines = (f"{index} {address}\n" for index, address in job.expected)
    return "".join((json.dumps(head), "\n", *lines))


def _named(job: SecondPathJob) -> str | None:
    return str(job.key_service.ca_file) if job.key_service.ca_file else None


def _report(answer: str, job: SecondPathJob) -> SecondPathReport:
    """Gives the report a process wrote, or the error for the one word it wrote instead."""
    with suppress(ValueError, LookupError, TypeError, AttributeError):
        found: Mapping[str, Any] = json.loads(answer)
        if "error" in found:
            raise _failure(found["error"], job.scope.keyring_id)
        if found["checked"] == job.count:
            return SecondPathReport(
                checked=found["checked"],
                sampled=found["sampled"],
                mismatch_count=found["mismatch_count"],
                mismatches=tuple(found["mismatches"]),
            )
    raise SealingIncompleteError("The second derivation path gave no answer", job.scope.keyring_id)


def _failure(word: object, keyring_id: str) -> WalletworksError:
    if word == "unreachable":
        return ServiceUnavailableError("key service")
    if word == "denied":
        return AccessDeniedError("The key service refused the second path's token")
    if word == "altered":
        return IntegrityError("A sealed seed does not open on the second path", keyring_id)
    return SealingIncompleteError("The second derivation path broke off", keyring_id)
