"""Derivation paths as parsed values: what is not exactly a path of the expected depth does not become one."""

import re
from dataclasses import dataclass
from typing import Self

from activities.keys.errors import KeyMaterialError

HARDENED = 1 << 31
"""First hardened index (BIP-32, "Extended keys"); a written index stays below it."""

_PATH = re.compile(r"m((?:/(?:0|[1-9][0-9]{0,9})'?)*)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivationPath:
    """A path from the master key: child numbers, hardened ones offset by 2^31."""

    steps: tuple[int, ...]

    def __post_init__(self) -> None:
        if not all(0 <= step < 2 * HARDENED for step in self.steps):
            raise KeyMaterialError("a derivation path step is outside 0 to 2^32 - 1")

    @classmethod
    def parse(cls, text: str, *, depth: int) -> Self:
        """Gives the path a text writes in the one accepted notation: `m/44'/60'/0'/0/7`.

        Raises: KeyMaterialError for any other notation (`h`, `H`, blanks, signs, leading zeros, an index
            from 2^31 on) and for any other number of steps than `depth`.
        Source: BIP-32, "The key tree"; BIP-44, "Path levels".
        """
        match = _PATH.fullmatch(text)
        if match is None:
            raise KeyMaterialError("a derivation path is not written as m/44'/60'/0'/0/0")
        written = match[1].split("/")[1:]
        if len(written) != depth:
            raise KeyMaterialError("a derivation path has another depth than its use asks for")
        return cls(steps=tuple(_child_number(step) for step in written))

    def __str__(self) -> str:
        return "/".join(["m", *(_written(step) for step in self.steps)])

    def child(self, index: int, *, hardened: bool = False) -> Self:
        """Gives the path one step further down."""
        if not 0 <= index < HARDENED:
            raise KeyMaterialError("a child index is outside 0 to 2^31 - 1")
        return type(self)(steps=(*self.steps, index + HARDENED * hardened))


def _child_number(written: str) -> int:
    hardened = written.endswith("'")
    index = int(written.removesuffix("'"))
    if index >= HARDENED:
        raise KeyMaterialError("a derivation path index is 2^31 or more")
    return index + HARDENED * hardened


def _written(step: int) -> str:
    return f"{step - HARDENED}'" if step >= HARDENED else str(step)
