"""The single names inside a text of the UN list, which may hold several and say more than a name.

Taken apart are only lists of names, another script in brackets, and an acronym in brackets; any other
bracket (a place, a remark) stays part of the whole.
"""

import re
from typing import Final

_REMARK: Final = re.compile(
    r"original script:?|\(\s*(?:birth name|combat name|third|previously listed as|false identity)[^()]*\)?",
    re.IGNORECASE,
)
_SAID_AFTER: Final = re.compile(r"(?:,\s*born\b|\s-\ssub-unit name).*", re.IGNORECASE | re.DOTALL)
_BRACKETED: Final = re.compile(r"\(([^()]*)\)?")
_BETWEEN: Final = re.compile(r"(?:;|\n|(?:^|\s)[a-z]\)\s)")
_ACRONYM: Final = re.compile(r"[A-Z][A-Z/-]{1,11}")
_EDGES: Final = " ,.-"


def spellings(text: str) -> list[str]:
    """The text itself first, then every single name found in it, each once."""
    whole = " ".join(text.split())
    if not whole:
        return []
    plain = _SAID_AFTER.sub("", _REMARK.sub(" ", text))
    outside = _BRACKETED.sub(" ", plain)
    told = [inner for inner in _BRACKETED.findall(plain) if _tells_a_name(inner, outside)]
    pieces = [outside, *told] if told else [plain]
    names = (_tidy(name) for piece in pieces for name in _BETWEEN.split(piece))
    return list(dict.fromkeys([whole, *(name for name in names if len(name) > 1)]))


def _tidy(name: str) -> str:
    """A single name without stray separators, or brackets that lost their other half."""
    if name.count("(") != name.count(")"):
        name = name.replace("(", " ").replace(")", " ")
    return " ".join(name.split()).strip(_EDGES)


def _tells_a_name(inner: str, outside: str) -> bool:
    if _latin_share(inner) != _latin_share(outside):
        return True
    acronym = inner.strip()
    if not _ACRONYM.fullmatch(acronym):
        return False
    letters = iter(outside.casefold())
    return all(letter in letters for letter in acronym.casefold() if letter.isalpha())


def _latin_share(text: str) -> bool | None:
    """Whether the letters of a text are mostly Latin; None when it has none."""
    letters = [character for character in text if character.isalpha()]
    if not letters:
        return None
    latin = sum(character < "\u0250" or "\u1e00" <= character < "\u1f00" for character in letters)
    return latin * 2 >= len(letters)
