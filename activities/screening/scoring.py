"""The score of one name against another: tokens paired best first, the unpaired charged by side.

Pure. A query that says more than the listed name is charged more than a listed name that says more than
the query, and words that stand against each other on both sides are charged most.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from activities.screening.names import TOKENS_MAX, WEIGHTY, NameForm

EXTRA_IN_QUERY: Final = 0.5
"""Share of its weight that an unpaired word of the query costs."""

EXTRA_IN_LISTED: Final = 0.26
"""The same for the listed name: people leave out middle names, lists seldom do."""

EXTRA_BESIDE_DOUBT: Final = 1.5
"""How many times more extra words cost where a paired word is doubtful too."""

CONTRADICTION: Final = 1.1
"""What two words standing against each other cost, as a share of the heavier."""

THIN_EVIDENCE: Final = 0.85
"""Factor where little more than one word agrees, and one of the names has more weighty ones."""

DOUBTS: Final = 0.95
"""Factor where two weighty words or more are doubtful."""

RESPACED: Final = 0.98
"""Score of names that differ only in where their spaces are."""

CERTAIN: Final = 0.9
"""Two words at least this alike are one; below it is doubtful."""

_THIN: Final = 1.4
_SUPPORTING: Final = 0.3
_MERGED_MIN: Final = 0.8
_MERGED_LENGTHS_APART: Final = 2

Similarity = Callable[[str, str], float]
Alike = Mapping[str, Mapping[str, float]]
_Word = tuple[str, float]
_Pair = tuple[str, str, float, float]


class Pair(NamedTuple):
    """Words of the query and of the listed name that were held to be the same, and how alike they are."""

    query: str
    listed: str
    similarity: float
    weight: float


class NameScore(NamedTuple):
    """The score (0 to 1) and the pairs it rests on."""

    score: float
    pairs: tuple[Pair, ...]


NOTHING: Final = NameScore(0.0, ())


def score_names(
    query: NameForm, listed: NameForm, *, alike: Alike, similarity: Similarity, floor: float = 0.0
) -> NameScore:
    """How far the two are one name; may be `NOTHING` as soon as `floor` is out of reach.

    `similarity` gives the likeness of two tokens (0 to 1). `alike` says the same beforehand for each
    weighty token of the query: the listed tokens like it, with their likeness.
    """
    if query.key == listed.key:
        return NameScore(1.0, (Pair(query.key, listed.key, 1.0, 1.0),))
    if query.joined == listed.joined:
        return NameScore(RESPACED, (Pair(query.joined, listed.joined, RESPACED, 1.0),))
    if len(query.tokens) > TOKENS_MAX or len(listed.tokens) > TOKENS_MAX:
        return NOTHING
    pairs: list[_Pair] = []
    left, right = _pair_equal(query, listed, pairs)
    if left and right:
        _pair_certain(left, right, alike, pairs)
    if _reachable(pairs, left, right) < floor:
        return NOTHING
    if left and right:
        if len(left) > 1 or len(right) > 1:
            _pair_merged(left, right, similarity, pairs)
        _pair_alike(left, right, similarity, pairs)
    if not pairs:
        return NOTHING
    score = _total(pairs, left, right)
    return NameScore(score, tuple(map(Pair._make, pairs))) if score >= floor else NOTHING


def _pair_equal(query: NameForm, listed: NameForm, pairs: list[_Pair]) -> tuple[list[_Word], list[_Word]]:
    """Pairs the equal tokens; what is left of both sides, in order."""
    texts = list(listed.tokens)
    weights = list(listed.weights)
    left: list[_Word] = []
    for text, weight in zip(query.tokens, query.weights, strict=True):
        if text in texts:
            at = texts.index(text)
            pairs.append((text, text, 1.0, max(weight, weights.pop(at))))
            del texts[at]
        else:
            left.append((text, weight))
    return left, list(zip(texts, weights, strict=True))


def _pair_certain(left: list[_Word], right: list[_Word], alike: Alike, pairs: list[_Pair]) -> None:
    """Pairs the tokens that are spellings of each other beyond doubt, in the query's order."""
    unpaired: list[_Word] = []
    for word in left:
        known = alike.get(word[0])
        best = None
        if known:
            best = max(right, key=lambda other: known.get(other[0], 0.0), default=None)
        if known is None or best is None or known.get(best[0], 0.0) < CERTAIN:
            unpaired.append(word)
            continue
        pairs.append((word[0], best[0], known[best[0]], _pair_weight(word, best)))
        right.remove(best)
    left[:] = unpaired


def _reachable(pairs: list[_Pair], left: list[_Word], right: list[_Word]) -> float:
    """A bound above the score: all words left over pair or merge perfectly as far as the sides go."""
    more, fewer = (right, left) if len(right) > len(left) else (left, right)
    unpaired = len(more) - 2 * len(fewer)
    if unpaired <= 0:
        return 1.0
    share = EXTRA_IN_LISTED if more is right else EXTRA_IN_QUERY
    extra = share * sum(sorted(weight for _, weight in more)[:unpaired])
    paired = sum(pair[3] for pair in pairs) + sum(weight for _, weight in (*left, *right))
    return paired / (paired + extra)


def _pair_merged(
    left: list[_Word],
    right: list[_Word],
    similarity: Similarity,
    pairs: list[_Pair],
) -> None:
    """Pairs two neighbouring words of one side with one word of the other ("abd al" and "abdal")."""
    for several, single, flipped in ((left, right, False), (right, left, True)):
        at = 0
        starts = {text[0] for text, _ in single}
        while at + 1 < len(several) and single:
            (first, first_weight), (second, second_weight) = several[at], several[at + 1]
            found = None
            if first[0] in starts:
                found = _merged_with(first, second, single, similarity)
            if found is None:
                at += 1
                continue
            text, weight, alike = found
            both = f"{first} {second}"
            texts = (text, both) if flipped else (both, text)
            pairs.append((*texts, alike, max(weight, first_weight + second_weight)))
            single.remove((text, weight))
            del several[at : at + 2]


def _merged_with(
    first: str, second: str, single: list[_Word], similarity: Similarity
) -> tuple[str, float, float] | None:
    length = len(first) + len(second)
    for text, weight in single:
        if (
            text[0] == first[0]
            and abs(len(text) - length) <= _MERGED_LENGTHS_APART
            and len(text) > max(len(first), len(second))
            and (alike := similarity(first + second, text)) >= _MERGED_MIN
        ):
            return text, weight, alike
    return None


def _pair_alike(
    left: list[_Word],
    right: list[_Word],
    similarity: Similarity,
    pairs: list[_Pair],
) -> None:
    """Pairs similar words, the most similar first, and takes them out of both sides."""
    found = [
        (-alike, i, j)
        for i, (query, _) in enumerate(left)
        for j, (listed, _) in enumerate(right)
        if (alike := similarity(query, listed)) > 0
    ]
    if not found:
        return
    found.sort()
    used_left: set[int] = set()
    used_right: set[int] = set()
    for alike, i, j in found:
        if i not in used_left and j not in used_right:
            used_left.add(i)
            used_right.add(j)
            pairs.append((left[i][0], right[j][0], -alike, _pair_weight(left[i], right[j])))
    left[:] = [word for i, word in enumerate(left) if i not in used_left]
    right[:] = [word for j, word in enumerate(right) if j not in used_right]


def _pair_weight(query: _Word, listed: _Word) -> float:
    if len(query[0]) == 1 or len(listed[0]) == 1:
        return min(query[1], listed[1])
    return max(query[1], listed[1])


def _total(pairs: list[_Pair], left: list[_Word], right: list[_Word]) -> float:
    gained = whole = 0.0
    evidence = 0.0
    doubtful = 0
    for _, _, alike, weight in pairs:
        gained += alike * weight
        whole += weight
        evidence += weight if weight >= _SUPPORTING else 0.0
        doubtful += weight >= WEIGHTY and alike < CERTAIN
    ours = sorted((weight for _, weight in left), reverse=True)
    theirs = sorted((weight for _, weight in right), reverse=True)
    against, extra = _unpaired(ours, theirs)
    whole += against + extra * (EXTRA_BESIDE_DOUBT if doubtful else 1.0)
    score = gained / whole
    if evidence < _THIN and any(weight >= WEIGHTY for weight in (*ours[:1], *theirs[:1])):
        score *= THIN_EVIDENCE
    return score * DOUBTS if doubtful > 1 else score


def _unpaired(ours: list[float], theirs: list[float]) -> tuple[float, float]:
    """The cost of the words that stand against each other, and of those that are one side's extras."""
    against = 0.0
    facing = 0
    for mine, other in zip(ours, theirs, strict=False):
        if min(mine, other) < WEIGHTY:
            break
        against += CONTRADICTION * max(mine, other)
        facing += 1
    extra = EXTRA_IN_QUERY * sum(ours[facing:]) + EXTRA_IN_LISTED * sum(theirs[facing:])
    return against, extra
