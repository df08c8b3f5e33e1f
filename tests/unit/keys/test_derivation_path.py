"""Derivation paths: one notation, nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.keys.derivation_path import HARDENED, DerivationPath
from activities.keys.errors import KeyMaterialError
from tests.vectors import load_vectors


def test_published_bad_paths_are_refused() -> None:
    """None of the 12 published bad paths becomes a path of any depth."""
    vectors = load_vectors("bip32/bip_utils-paths.json")
    assert isinstance(vectors, dict)
    bad = vectors["TEST_VECT_PATH_INVALID"]
    assert len(bad) == 12
    for text in bad:
        for depth in range(6):
            with pytest.raises(KeyMaterialError):
                DerivationPath.parse(text, depth=depth)


@pytest.mark.parametrize(
    "text",
    [
        "m/2147483648",
        "m/2147483648'",
        "m/4294967296",
        "m/9999999999",
        "m/00",
        "m/01",
        "m/0\n",
        "m/0 ",
        " m/0",
        "m/ 0",
        "m/0_0",
        "m/1_0",
        "m/+1",
        "m/-1",
        "m/0h",
        "m/0H",
        "m/0p",
        "m/0\u2019",
        "m/٣",
        "m/0x1",
        "M/0",
        "/0",
        "0",
        "m//0",
        "m/0/",
        "m/",
        "",
    ],
)
def test_lookalikes_of_a_path_are_refused(text: str) -> None:
    """A wrapped index, a blank, a sign, an underscore, a foreign digit or another mark is no path."""
    with pytest.raises(KeyMaterialError):
        DerivationPath.parse(text, depth=1)


def test_another_depth_is_refused() -> None:
    """A path one step shorter or longer than its use asks for is refused."""
    for depth in (4, 6):
        with pytest.raises(KeyMaterialError):
            DerivationPath.parse("m/44'/60'/0'/0/0", depth=depth)


def test_a_refusal_does_not_repeat_the_text() -> None:
    """The error of a refused path holds a fixed sentence only."""
    with pytest.raises(KeyMaterialError) as refusal:
        DerivationPath.parse("m/secret-canary", depth=1)
    assert "canary" not in str(refusal.value)


@given(st.lists(st.integers(0, 2 * HARDENED - 1), max_size=6))
def test_a_written_path_reads_back_the_same(steps: list[int]) -> None:
    """Writing and parsing are each other's inverse."""
    path = DerivationPath(steps=tuple(steps))
    assert DerivationPath.parse(str(path), depth=len(steps)) == path


def test_a_child_extends_the_path() -> None:
    """A child adds one step, hardened only when asked, and refuses an index of 2^31."""
    path = DerivationPath.parse("m/44'", depth=1)
    assert str(path.child(60, hardened=True).child(7)) == "m/44'/60'/7"
    for index in (-1, HARDENED):
        with pytest.raises(KeyMaterialError):
            path.child(index)


def test_a_step_out_of_range_is_refused() -> None:
    """A path is never built around a number that is no child number."""
    for step in (-1, 2 * HARDENED):
        with pytest.raises(KeyMaterialError):
            DerivationPath(steps=(step,))
