"""Names made comparable: one spelling, one script, tokens with weights. Pure; it keeps nothing.

Every letter counts towards the exact key, so two names that read the same have the same key whatever
their case, accents, script of an alphabet, punctuation or word order.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from rigour.names import replace_org_types_compare, tokenize_name
from rigour.text import ascii_text

from activities.screening.lists.entries import EntryKind
from activities.screening.words import (
    ARABIC_ARTICLES,
    INITIAL_WEIGHT,
    NUMBER_WEIGHT,
    entity_weight,
    person_weight,
)

TOKENS_MAX: Final = 24
"""Tokens of a name that are compared fuzzily: longer texts are lists of names, compared exactly only."""

_GLUED_DOT: Final = re.compile(r"(?<=\w\w)\.(?=\w)|\.(?=\w\w)")
WEIGHTY: Final = 0.5
"""A token of at least this weight can carry a match; lighter ones only support it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NameForm:
    """One name ready to compare: tokens in writing order with their weights, and its keys.

    `weighty` are the tokens that can carry a match, all of them when every one is light. `key` is the same
    for every order of the tokens, `joined` for every way to put spaces. `weight` is that of all tokens,
    `weight_spelled_out` as if each initial were a whole word.
    """

    tokens: tuple[str, ...]
    weights: tuple[float, ...]
    weighty: tuple[str, ...]
    weight: float
    weight_spelled_out: float
    key: str
    joined: str


def is_comparable(name: str) -> bool:
    """Whether a name has a letter or digit to compare; one without cannot be called clear."""
    return bool(_tokens(_clean(name)))


def name_form(name: str, kind: EntryKind) -> NameForm:
    """The comparable form of a name borne by a person, or by an entity or other thing."""
    clean = _clean(name)
    tokens = _tokens(clean)
    key = " ".join(sorted(tokens))
    if kind == "person":
        spoken = _tokens(_in_speaking_order(clean)) if "," in clean or "." in clean else tokens
        spoken = _with_servant_of(spoken)
        weights = _weights(spoken, person_weight)
    else:
        spoken = _tokens(replace_org_types_compare(clean, generic=True)) or tokens
        weights = _weights(spoken, entity_weight)
    weighed = zip(spoken, weights, strict=True)
    return NameForm(
        tokens=tuple(spoken),
        weights=weights,
        weighty=tuple(token for token, weight in weighed if weight >= WEIGHTY) or tuple(spoken),
        weight=sum(weights),
        weight_spelled_out=sum(1.0 if weight == INITIAL_WEIGHT else weight for weight in weights),
        key=key,
        joined="".join(tokens),
    )


def _clean(name: str) -> str:
    """The name in one case and one composition, without what no reader sees."""
    if not name.isascii():
        name = unicodedata.normalize("NFKC", name.encode("utf-8", "ignore").decode("utf-8"))
    return _GLUED_DOT.sub(". ", name.casefold())


def _in_speaking_order(clean: str) -> str:
    """A person's "family, given" turned round, and initials set apart ("j.r." is two)."""
    family, comma, given = clean.partition(",")
    return (f"{given} {family}" if comma else clean).replace(".", ". ")


def _with_servant_of(tokens: list[str]) -> list[str]:
    """The tokens with "abd al" as one word, as it is in "abdul rahman"."""
    joined: list[str] = []
    for token in tokens:
        if joined and joined[-1] == "abd" and token in ARABIC_ARTICLES:
            joined[-1] = "abdal"
        else:
            joined.append(token)
    return joined


def _tokens(clean: str) -> list[str]:
    tokens = tokenize_name(clean)
    if clean.isascii():
        return tokens
    spelled: list[str] = []
    for token in tokens:
        if token.isascii():
            spelled.append(token)
        else:
            # A script without a spelling in Latin letters stays as it is, to be found in itself.
            latin = tokenize_name(ascii_text(token).casefold())
            spelled.extend(latin or [token])
    return spelled


def _weights(tokens: Sequence[str], weigh: Callable[[str], float]) -> tuple[float, ...]:
    return tuple(_weight(token, weigh) for token in tokens)


def _weight(token: str, weigh: Callable[[str], float]) -> float:
    if token.isdigit():
        return NUMBER_WEIGHT
    if len(token) == 1 and token.isascii():
        return INITIAL_WEIGHT
    return weigh(token)
