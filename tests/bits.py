"""Flips bits of a bundle one by one and lets it be judged: a sample for the tests, all of them by hand.

`python -m tests.bits [BUNDLE TRUST] [--all] [--seed N]` reports what was found; the whole takes hours.
"""

import argparse
import random
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from activities.evidence.verify import verify_bundle
from activities.trust.trust_file import load_trust
from infra.auditor import verify_bundle as second
from tests.integration.tampering import members, rewritten

Judge = Callable[[Path], bool]
Sample = tuple[random.Random, int]

UNATTESTED: Final = frozenset({"histories.jsonl", "restricted.age", "bundle.json"})
"""Members whose bytes the public part does not vouch for (the end of `layout`), and the table itself."""

_EVERY: Final = 2_000
"""Flips between two lines of progress."""


@dataclass(kw_only=True)
class Flips:
    """What became of the flipped bits."""

    flipped: int = 0
    silent: int = 0
    """Bits of the zip's own headers and paddings that change no byte of any member."""
    unfounded: list[str] = field(default_factory=list)
    """Places where a member changed and nobody said so."""


def flip_file(bundle: Path, verified: Judge, *, folder: Path, sample: Sample | None = None) -> Flips:
    """Flips bits of the file as it lies on the disk."""
    raw, whole, done, path = bundle.read_bytes(), members(bundle), Flips(), folder / "flipped.zip"
    for bit in _bits(len(raw), sample):
        content = bytearray(raw)
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        done.flipped += 1
        if verified(path):
            done.silent += 1
            if members(path) != whole:
                done.unfounded.append(f"byte {bit // 8} of the file")
        _progress(done, sample)
    return done


def flip_members(bundle: Path, verified: Judge, *, folder: Path, sample: Sample | None = None) -> Flips:
    """Flips bits of the members' contents, each time with a table that agrees with the change."""
    parts, done = members(bundle), Flips()
    places = [(name, at) for name in parts if name not in UNATTESTED for at in range(len(parts[name]))]
    for bit in _bits(8 * len(places), sample):
        (name, at), mask = places[bit // 8], 1 << bit % 8

        def flip(changed: dict[str, bytes], name: str = name, at: int = at, mask: int = mask) -> None:
            content = bytearray(changed[name])
            content[at] ^= mask
            changed[name] = bytes(content)

        done.flipped += 1
        if verified(rewritten(bundle, folder / "flipped.zip", flip)):
            done.unfounded.append(f"byte {at} of {name}")
        _progress(done, sample)
    return done


def _bits(total: int, sample: Sample | None) -> Iterator[int]:
    if sample is None:
        yield from range(total)
        return
    chance, count = sample
    yield from (chance.randrange(total) for _ in range(count))


def _progress(done: Flips, sample: Sample | None) -> None:
    if sample is None and done.flipped % _EVERY == 0:
        sys.stderr.write(f"{done.flipped} flipped, {len(done.unfounded)} not found\n")


def judge(trust: Path) -> Judge:
    """Both verifiers with one trust file; stops the run where they differ."""
    ours, theirs = load_trust(trust), second.read_trust(trust)

    def verified(path: Path) -> bool:
        one, other = verify_bundle(path, ours), second.verify(path, theirs)
        assert one.verdict == other.verdict, (one.verdict, other.verdict, path)
        return one.ok

    return verified


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit 0 when every flipped bit that changed a member was found."""
    kept = Path(__file__).parent / "integration" / "kept_bundles"
    parser = argparse.ArgumentParser(prog="python -m tests.bits", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle", nargs="?", type=Path, default=kept / "002.zip")
    parser.add_argument("trust", nargs="?", type=Path, default=kept / "002.toml")
    parser.add_argument("--all", action="store_true", help="every bit instead of a thousand of each kind")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    sample = None if given.all else (random.Random(given.seed), 1_000)  # noqa: S311 - a seed replays the run
    unfounded: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in (flip_file, flip_members):
            done = kind(given.bundle, judge(given.trust), folder=Path(folder), sample=sample)
            unfounded += done.unfounded
            told = f"{done.flipped} flipped, {done.silent} silent, not found: {done.unfounded or 'none'}"
            sys.stdout.write(f"{kind.__name__}: {told}\n")
    return 1 if unfounded else 0


if __name__ == "__main__":
    sys.exit(main())
