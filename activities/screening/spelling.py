"""How alike two name tokens are: folded sounds, known variants, edits within a budget by length.

Tokens come as `names` makes them: lower-case, in Latin letters wherever possible.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from rapidfuzz.distance import OSA

from activities.screening.variants import SAME_NAME, SPELLINGS

SAME_SOUND: Final = 0.97
SPELLING: Final = 0.95
OTHER_LANGUAGE: Final = 0.75
INITIAL: Final = 0.8
UNVOWELLED: Final = 0.85
SHORT_EDIT: Final = 0.5
"""One edit in a token of two or three letters: hardly the same word, yet not another one for certain."""

ALIGNED_MIN: Final = 0.5
"""Below this two tokens are different words."""

_EDIT_COST: Final = 0.8
_OTHER_START: Final = 0.05
_SHORT: Final = 3
_LENGTHS_APART_MAX: Final = 4
_REMEMBERED_MAX: Final = 100_000
_VOWELS: Final = frozenset("aeiou")
_SOUNDS: Final = {
    "sch": "s", "tch": "c", "tsch": "c", "dzh": "j", "dj": "j", "zh": "j", "ph": "f", "ck": "k",
    "kh": "k", "gh": "g", "dh": "d", "th": "t", "sh": "s", "ch": "c", "cc": "k", "qu": "k",
    "q": "k", "x": "ks", "w": "v", "ou": "u", "oo": "u", "ow": "u", "ee": "i", "ie": "i", "ea": "i",
    "ei": "i", "ey": "i", "ay": "ai", "ae": "a", "oe": "o", "ue": "u", "yu": "iu", "ya": "ia",
    "ye": "i", "y": "i", "ce": "se", "ci": "si", "cy": "si", "c": "k",
}  # fmt: skip
_SOUND: Final = re.compile("|".join(sorted(_SOUNDS, key=len, reverse=True)))
_DOUBLED: Final = re.compile(r"(.)\1+")
_SLAVIC_END: Final = re.compile(r"(?<=..[oe])f+$")
_NO_GROUP: Final[frozenset[int]] = frozenset()


def fold(token: str) -> str:
    """A token's sound in few letters: spellings of one name in different romanisations often agree."""
    if not token.isascii() or token.isdigit():
        return token
    sounded = _SOUND.sub(lambda found: _SOUNDS[found[0]], token)
    single = _DOUBLED.sub(r"\1", _SLAVIC_END.sub("v", sounded))
    return single[:1] + single[1:].replace("h", "")


def skeleton(folded: str) -> str:
    """The consonants of a folded token, as scripts without vowels write it."""
    return "".join(letter for letter in folded if letter not in _VOWELS)


def edit_budget(length: int) -> int:
    """How many edits a token of so many letters may suffer and still be the same word."""
    if length <= _SHORT:
        return 0
    return 1 if length <= 5 else 2 if length <= 8 else 3  # noqa: PLR2004 - the budget's own table


class _Token(NamedTuple):
    """A token with what comparing it needs each time."""

    text: str
    folded: str
    spelling: frozenset[int]
    same: frozenset[int]


def _token(text: str) -> _Token:
    return _Token(text, fold(text), SPELLINGS.get(text, _NO_GROUP), SAME_NAME.get(text, _NO_GROUP))


def token_similarity(left: str, right: str) -> float:
    """From 0 (different words) to 1 (equal); never between 0 and `ALIGNED_MIN`."""
    return _similarity(_token(left), _token(right))


def remembering() -> Callable[[str, str], float]:
    """`token_similarity` with a bounded memory of its own, for many comparisons."""
    tokens: dict[str, _Token] = {}
    known: dict[tuple[str, str], float] = {}

    def remembered(left: str, right: str) -> float:
        found = known.get((left, right))
        if found is None:
            if len(known) >= _REMEMBERED_MAX:
                known.clear()
                tokens.clear()
            one = tokens.get(left) or tokens.setdefault(left, _token(left))
            other = tokens.get(right) or tokens.setdefault(right, _token(right))
            found = known[left, right] = _similarity(one, other)
        return found

    return remembered


def _similarity(left: _Token, right: _Token) -> float:
    one, other = left.text, right.text
    if one == other:
        return 1.0
    if len(one) == 1 or len(other) == 1:
        return INITIAL if one[0] == other[0] and len(one) != len(other) else 0.0
    if one.isdigit() or other.isdigit():
        return 0.0
    if left.spelling and right.spelling:
        return _of_well_known(left, right)
    return SAME_SOUND if left.folded == right.folded else _by_letters(left, right)


def _of_well_known(left: _Token, right: _Token) -> float:
    """Two well-known names are not slips of the pen for each other, however close their letters."""
    if not left.spelling.isdisjoint(right.spelling):
        return SPELLING
    return 0.0 if left.same.isdisjoint(right.same) else OTHER_LANGUAGE


def _by_letters(left: _Token, right: _Token) -> float:
    best = 0.0
    if abs(len(left.text) - len(right.text)) <= _LENGTHS_APART_MAX:
        best = max(_edited(left.text, right.text), SAME_SOUND * _edited(left.folded, right.folded))
    if best < UNVOWELLED and _unvowelled(left.folded, right.folded):
        best = UNVOWELLED
    if left.text[0] != right.text[0] and left.folded[0] != right.folded[0]:
        best -= _OTHER_START
    if best < OTHER_LANGUAGE and not left.same.isdisjoint(right.same):
        best = OTHER_LANGUAGE
    return best if best >= ALIGNED_MIN else 0.0


def _edited(left: str, right: str) -> float:
    length = max(len(left), len(right))
    budget = edit_budget(length)
    if budget == 0:
        return SHORT_EDIT if OSA.distance(left, right, score_cutoff=1) == 1 else 0.0
    edits = OSA.distance(left, right, score_cutoff=budget)
    return 1 - _EDIT_COST * edits / length if edits <= budget else 0.0


def _unvowelled(left: str, right: str) -> bool:
    """Whether one of the two is the other without its vowels, as Arabic and Hebrew write names."""
    if _VOWELS.isdisjoint(left) == _VOWELS.isdisjoint(right):
        return False
    bare, full = (left, right) if _VOWELS.isdisjoint(left) else (right, left)
    return len(bare) > 1 and bare == skeleton(full)
