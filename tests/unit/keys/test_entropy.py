"""Entropy: two sources mixed, dead ones refused."""

import os
from collections.abc import Callable
from itertools import pairwise

import pytest

from activities.keys.entropy import draw_entropy, mix_entropy, require_healthy
from activities.keys.errors import KeyMaterialError

_ONE = bytes.fromhex("8d969eef6ecad3c29a3a629280e686cf0c3f5d5a86aff3ca12020c923adc6c92")
_OTHER = bytes.fromhex("2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")


def _repeating(count: int) -> bytes:
    return _ONE[:count]


@pytest.mark.parametrize(
    "stub",
    [
        bytes,
        lambda count: b"\xff" * count,
        lambda count: bytes(range(count)),
        lambda count: (b"abcdefgh" * count)[:count],
        lambda count: os.urandom(count // 2) * 2,
        lambda count: os.urandom(count - 1),
        lambda count: os.urandom(count + 1),
        lambda _count: b"",
        _repeating,
    ],
    ids=["zeros", "ones", "counter", "period", "halves", "short", "long", "empty", "repeating"],
)
def test_a_broken_source_stops_the_making_of_a_key(stub: Callable[[int], bytes]) -> None:
    """Zeros, patterns, short reads and repeats of either source are refused."""
    for sources in ((stub, os.urandom), (os.urandom, stub)):
        with pytest.raises(KeyMaterialError):
            draw_entropy(os_source=sources[0], service_source=sources[1], info=b"test")


def test_two_sources_that_agree_are_refused() -> None:
    """A key service that plays back the operating system's bytes adds nothing and is refused."""
    samples = [_OTHER, _ONE]

    def os_source(_count: int) -> bytes:
        return samples.pop()

    replay = [_OTHER, _ONE]

    def service_source(_count: int) -> bytes:
        return replay.pop()

    with pytest.raises(KeyMaterialError):
        draw_entropy(os_source=os_source, service_source=service_source, info=b"test")


def test_each_input_changes_the_mix() -> None:
    """Either sample and the purpose each decide the result; the same three give it again."""
    mixed = mix_entropy(os_bytes=_ONE, service_bytes=_OTHER, info=b"a")
    assert len(mixed) == 32
    assert mixed == mix_entropy(os_bytes=_ONE, service_bytes=_OTHER, info=b"a")
    others = {
        mix_entropy(os_bytes=_OTHER, service_bytes=_ONE, info=b"a"),
        mix_entropy(os_bytes=_ONE, service_bytes=_OTHER, info=b"b"),
        mix_entropy(os_bytes=_ONE, service_bytes=_ONE[::-1], info=b"a"),
    }
    assert len(others | {mixed}) == 4


def test_a_mix_needs_a_purpose() -> None:
    """Entropy for no named purpose is refused."""
    with pytest.raises(KeyMaterialError):
        mix_entropy(os_bytes=_ONE, service_bytes=_OTHER, info=b"")


def test_fair_samples_are_never_refused() -> None:
    """The health checks let 20,000 samples of the operating system pass."""
    for _ in range(20_000):
        require_healthy(os.urandom(32))


def test_many_entropies_are_distinct_and_balanced() -> None:
    """5,000 entropies show no duplicate and pass monobit and runs tests at about one in a million."""
    drawn = [draw_entropy(os_source=os.urandom, service_source=os.urandom, info=b"t") for _ in range(5_000)]
    assert len(set(drawn)) == len(drawn)
    bits = "".join(f"{int.from_bytes(entropy, 'big'):0256b}" for entropy in drawn)
    count, ones = len(bits), bits.count("1")
    assert abs(2 * ones - count) < 5 * count**0.5
    changes = sum(1 for before, after in pairwise(bits) if before != after)
    assert abs(2 * changes - count) < 5 * count**0.5
