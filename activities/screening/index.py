"""Finds the listed names that could match a query, without comparing it with all of them.

Listed names are filed under the sounds of their weighty tokens; a query's tokens find sounds one edit
away, with other vowels, or of a variant. What it returns is for scoring: too many is slow, too few is a
missed person, so it errs on the side of many.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from rapidfuzz import process
from rapidfuzz.distance import OSA

from activities.screening.lists.entries import EntryKind
from activities.screening.names import TOKENS_MAX, NameForm
from activities.screening.scoring import EXTRA_IN_LISTED, EXTRA_IN_QUERY
from activities.screening.spelling import fold, remembering, skeleton
from activities.screening.variants import variants_of

CACHED_TOKENS_MAX: Final = 20_000
"""Query tokens whose finds are kept: given names recur, a batch has few thousand different ones."""

RARE_MAX: Final = 12
"""Of two tokens one is enough when so few names have it: the other may be misspelt beyond finding."""

ALIKE_MIN: Final = 0.7
"""Tokens less alike than this cannot be what a match rests on, so they find nothing."""

LETTERS_MAX: Final = 40
"""Letters of a word that is found with one of them wrong: longer ones are no words of a name."""

RARE_BESIDE_UNKNOWN_MAX: Final = 60
"""The same where no name at all has the other token."""

_REACH: Final = 0.62
"""Share of letters unchanged that `ALIKE_MIN` asks for, rounded down."""

_FEW: Final = 8
"""So few candidates are cheaper to score than to sift."""

_PAIR: Final = 2


class _Found(NamedTuple):
    """The listed names that have a token like the query's, and those tokens with their likeness."""

    names: frozenset[int]
    words: Mapping[str, float]


class NameIndex:
    """Listed names by number, findable by what their tokens sound like."""

    def __init__(self, forms: Sequence[NameForm], kinds: Sequence[EntryKind]) -> None:
        filed: dict[str, list[int]] = defaultdict(list)
        merged: dict[str, list[int]] = defaultdict(list)
        spellings: dict[str, set[str]] = defaultdict(set)
        respaced: dict[str, list[int]] = defaultdict(list)
        for number, form in enumerate(forms):
            if form.joined:
                respaced[form.joined].append(number)
            if len(form.tokens) > TOKENS_MAX:
                continue
            for token in set(form.weighty):
                folded = fold(token)
                filed[folded].append(number)
                spellings[folded].add(token)
            for first, second in pairwise(form.tokens):
                merged[fold(first + second)].append(number)
        self._forms = forms
        self._respaced = dict(respaced)
        self._of_kind = {
            kind: frozenset(number for number, one in enumerate(kinds) if one == kind) for kind in set(kinds)
        }
        self._filed = {folded: frozenset(numbers) for folded, numbers in filed.items()}
        self._merged = {folded: frozenset(numbers) for folded, numbers in merged.items()}
        self._spellings = {folded: frozenset(tokens) for folded, tokens in spellings.items()}
        self._sounds = {word: folded for folded, tokens in spellings.items() for word in tokens}
        self._near = _near_table(self._spellings)
        self._similarity = remembering()
        self._cache: dict[str, _Found] = {}

    def alike(self, query: NameForm) -> dict[str, Mapping[str, float]]:
        """For each weighty token of the query the listed tokens like it, with their likeness."""
        return {token: self._find(token).words for token in query.weighty}

    def candidates(self, query: NameForm, kind: EntryKind, floor: float) -> set[int]:
        """The numbers of the names worth scoring, for scores of `floor` and above.

        A name of another kind is worth it only when all of the query's tokens are in it.
        """
        respaced = self._respaced.get(query.joined, ())
        tokens = tuple(dict.fromkeys(query.weighty))
        found = [self._find(token) for token in tokens]
        merged = self._by_merged_tokens(query, tokens)
        sets = [one.names | more if more else one.names for one, more in zip(found, merged, strict=True)]
        agreeing = _agreeing(sets)
        same_kind = agreeing & self._of_kind.get(kind, _NONE)
        if len(same_kind) < len(agreeing):
            agreeing = same_kind.union(_in_all(sets))
        numbers = self._of_fitting_weight(query, agreeing, floor)
        if len(numbers) > _FEW and len(tokens) > 1:
            numbers = self._told_apart(numbers, found, _NONE.union(*(more for more in merged if more)))
        return {*numbers, *respaced}

    def _by_merged_tokens(self, query: NameForm, tokens: tuple[str, ...]) -> list[frozenset[int] | None]:
        """For each token the names that have it in one word with its neighbour, or the other way round."""
        more: dict[str, frozenset[int]] = {}
        for first, second in pairwise(query.tokens):
            joint = self._filed.get(fold(first + second))
            if joint is not None:
                for token in (first, second):
                    more[token] = more.get(token, _NONE) | joint
        for token in tokens:
            joint = self._merged.get(fold(token))
            if joint is not None:
                more[token] = more.get(token, _NONE) | joint
        return [more.get(token) for token in tokens]

    def _of_fitting_weight(self, query: NameForm, numbers: set[int], floor: float) -> list[int]:
        """Those that say neither so much more nor so much less than the query that no score reaches."""
        room = 1 / floor - 1
        most = query.weight_spelled_out * (1 + room / EXTRA_IN_LISTED)
        least = query.weight / (1 + room / EXTRA_IN_QUERY)
        forms = self._forms
        return [
            number
            for number in numbers
            if forms[number].weight <= most and forms[number].weight_spelled_out >= least
        ]

    def _told_apart(self, numbers: Iterable[int], found: list[_Found], merged: frozenset[int]) -> list[int]:
        """Those in which enough tokens of the query are like tokens of their own, not all like one."""
        enough = len(found) - _misses(len(found))
        alike: dict[str, int] = defaultdict(int)
        for at, one in enumerate(found):
            for word in one.words:
                alike[word] |= 1 << at
        if len(found) == _PAIR and any(len(one.names) <= RARE_BESIDE_UNKNOWN_MAX for one in found):
            enough = 1
        kept: list[int] = []
        for number in numbers:
            which = words = 0
            for token in self._forms[number].weighty:
                if token in alike:
                    which |= alike[token]
                    words += 1
            if (words >= enough and which.bit_count() >= enough) or number in merged:
                kept.append(number)
        return kept

    def _find(self, token: str) -> _Found:
        found = self._cache.get(token)
        if found is None:
            found = self._look_up(token)
            if len(self._cache) >= CACHED_TOKENS_MAX:
                self._cache.clear()
            self._cache[token] = found
        return found

    def _look_up(self, token: str) -> _Found:
        folded = fold(token)
        bare = _vowelless(folded)
        near = {sound for key in _near_keys(folded) for sound in self._near.get(key, ())}
        near.update(sound for key in _near_keys(token) for sound in self._near.get(key, ()))
        near.update(self._near.get(bare, ()))
        sounds = {folded, bare[1:], *(fold(variant) for variant in variants_of(token))}
        if bare[1:] == folded:
            sounds.update(self._near.get(bare, ()))
        sounds.update(_within_reach(folded, near - sounds))
        # What is near in spelling may be far in sound, where a letter changed what its neighbours say.
        others = [word for sound in near - sounds for word in self._spellings[sound]]
        words = {word for sound in sounds for word in self._spellings.get(sound, ())}
        words.update(_within_reach(token, others))
        found = {
            word: alike for word in sorted(words) if (alike := self._similarity(token, word)) >= ALIKE_MIN
        }
        return _Found(_NONE.union(*(self._filed[self._sounds[word]] for word in found)), found)


_NONE: Final[frozenset[int]] = frozenset()


def _within_reach(text: str, choices: Iterable[str]) -> list[str]:
    """The choices with few enough edits to be alike at all, sifted in one call for speed."""
    found = process.extract(text, choices, scorer=OSA.normalized_similarity, score_cutoff=_REACH, limit=None)
    return [choice for choice, *_ in found]


def _near_table(spellings: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    near: dict[str, set[str]] = defaultdict(set)
    for folded, tokens in spellings.items():
        for word in {folded, *tokens}:
            for key in _near_keys(word):
                near[key].add(folded)
        near[_vowelless(folded)].add(folded)
    return {key: tuple(sorted(found)) for key, found in near.items()}


def _near_keys(word: str) -> set[str]:
    """What a word shares with those one letter away: itself, and itself with any one letter left out."""
    if not _PAIR < len(word) <= LETTERS_MAX:
        return {word}
    return {word, *(word[:at] + word[at + 1 :] for at in range(len(word)))}


def _vowelless(folded: str) -> str:
    """What a sound shares with those that differ in vowels only; marked apart from whole words."""
    return "/" + (skeleton(folded) or folded)


def _misses(tokens: int) -> int:
    """How many tokens of a query may find nothing in a name that still matches."""
    return 0 if tokens <= _PAIR else max(1, tokens // 3)


def _in_all(sets: list[frozenset[int]]) -> frozenset[int]:
    smallest, *others = sorted(sets, key=len)
    return smallest.intersection(*others)


def _agreeing(sets: list[frozenset[int]]) -> set[int]:
    """The numbers in enough of the sets: of two in both or in the one that is rare, else in all but few."""
    if len(sets) <= 1:
        return set().union(*sets)
    if len(sets) == _PAIR:
        most = RARE_MAX if all(sets) else RARE_BESIDE_UNKNOWN_MAX
        return set(sets[0] & sets[1]).union(*(found for found in sets if len(found) <= most))
    misses = _misses(len(sets))
    enough = len(sets) - misses
    by_size = sorted(sets, key=len)
    if enough == _PAIR:
        first, second, third = by_size
        return set((first & second) | (first & third) | (second & third))
    seeds = set().union(*by_size[: misses + 1])
    return {number for number in seeds if sum(number in found for found in sets) >= enough}
