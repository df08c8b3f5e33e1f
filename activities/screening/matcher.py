"""Compares subjects with the entries of the lists and tells every hit with what it rests on.

Deterministic and without I/O: the same lists, threshold and query give the same hits. An entry that bears
exactly the subject's name is always a hit, whatever else speaks against it.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal, NamedTuple

from activities.screening.birth_dates import BirthDateRelation, birth_date_relation
from activities.screening.index import NameIndex
from activities.screening.lists.entries import EntryKind, ListEntry, ScreeningList
from activities.screening.names import NameForm, name_form
from activities.screening.scoring import NameScore, Pair, score_names
from activities.screening.spelling import remembering, token_similarity

ALGORITHM: Final = "walletworks-names/1"
"""Changes with anything that can change a score."""

RECOMMENDED_THRESHOLD: Final = 0.8
"""Where the figures in the tests were measured: recall of altered names against false alerts."""

_WEIGHT_OF_BIRTH_DATE: Final[dict[BirthDateRelation, float]] = {
    "agrees": 1.03,
    "compatible": 1.0,
    "unknown": 1.0,
    "near": 0.95,
    "conflicts": 0.75,
}
_OTHER_KIND: Final = 0.85
_WEAK_NAME: Final = 0.9
_SAME_COUNTRY: Final = 1.01
_BEST_FACTOR: Final = 1.03 * _SAME_COUNTRY
_EXACT_AGAINST_BIRTH_DATE: Final = 0.9

SubjectKind = Literal["person", "entity"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreeningQuery:
    """The subject to screen; `countries` are ISO 3166 alpha-2 codes of residence and nationality."""

    kind: SubjectKind
    full_name: str
    date_of_birth: date | None = None
    countries: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"ScreeningQuery(kind={self.kind!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreeningHit:
    """One possible match on one list, with everything its score rests on.

    `score` is `name_score` after birth date, kind, weak name and country had their say; `exact` hits are
    never below the threshold.
    """

    list_id: str
    entry_id: str
    listed_name: str
    score: float
    name_score: float
    exact: bool
    birth_date: BirthDateRelation
    same_kind: bool
    pairs: tuple[Pair, ...]
    threshold: float
    algorithm: str = ALGORITHM

    def __repr__(self) -> str:
        return f"ScreeningHit({self.list_id}, {self.entry_id}, score={self.score})"


@dataclass(frozen=True, slots=True)
class _Listed:
    """One name of one entry; `entry` is its number in the matcher's table."""

    entry: int
    name: str
    form: NameForm
    weak: bool


class _Match(NamedTuple):
    """The best name so far of one entry, by its number."""

    score: float
    number: int
    found: NameScore


class Matcher:
    """The lists made ready to compare with; build it once per set of list digests."""

    def __init__(self, lists: Sequence[ScreeningList], threshold: float) -> None:
        if not 0 < threshold <= 1:
            raise ValueError("The threshold of a matcher lies above 0 and not above 1")
        self.threshold = threshold
        self._entries: list[ListEntry] = [entry for listed in lists for entry in listed.entries]
        self._names: list[_Listed] = [
            _Listed(number, name, name_form(name, entry.kind), name in entry.weak_names)
            for number, entry in enumerate(self._entries)
            for name in entry.names
        ]
        exact: dict[str, list[int]] = defaultdict(list)
        for number, listed in enumerate(self._names):
            if listed.form.key:
                exact[listed.form.key].append(number)
        self._exact = dict(exact)
        self._index = NameIndex(
            [listed.form for listed in self._names],
            [self._entries[listed.entry].kind for listed in self._names],
        )
        self._similarity = remembering()

    def screen(self, query: ScreeningQuery) -> tuple[ScreeningHit, ...]:
        """Every entry that scores at or above the threshold, best first, each with its best name.

        A name for which `is_comparable` says no can give no hit: it is for the caller to hold it.
        """
        form = name_form(query.full_name, query.kind)
        best: dict[int, _Match] = {}
        for number in self._exact.get(form.key, ()):
            self._keep_exact(best, query, number)
        exact = frozenset(best)
        self._keep_alike(best, exact, query, form)
        hits = (self._hit(query, match, exact=entry in exact) for entry, match in best.items())
        return tuple(sorted(hits, key=lambda hit: (-hit.score, hit.list_id, hit.entry_id)))

    def _keep_exact(self, best: dict[int, _Match], query: ScreeningQuery, number: int) -> None:
        listed = self._names[number]
        if listed.entry in best:
            return
        relation = birth_date_relation(query.date_of_birth, self._entries[listed.entry].birth_dates)
        score = _EXACT_AGAINST_BIRTH_DATE if relation == "conflicts" else 1.0
        pair = Pair(query.full_name, listed.name, 1.0, 1.0)
        best[listed.entry] = _Match(max(score, self.threshold), number, NameScore(1.0, (pair,)))

    def _keep_alike(
        self,
        best: dict[int, _Match],
        exact: frozenset[int],
        query: ScreeningQuery,
        form: NameForm,
    ) -> None:
        """Adds the entries with similar names, each with the best of them."""
        factors: dict[int, float] = {}
        alike = self._index.alike(form)
        candidates = self._index.candidates(form, query.kind, self.threshold / _BEST_FACTOR)
        for number in sorted(candidates):
            listed = self._names[number]
            if listed.entry in exact:
                continue
            factor = factors.get(listed.entry)
            if factor is None:
                factor = factors[listed.entry] = self._factor(query, self._entries[listed.entry])
            factor = factor * _WEAK_NAME if listed.weak else factor
            held = best.get(listed.entry)
            floor = (self.threshold if held is None else held.score) / factor
            if floor > 1:
                continue
            found = score_names(form, listed.form, alike=alike, similarity=self._similarity, floor=floor)
            score = min(found.score * factor, 1.0)
            if score >= self.threshold and (held is None or score > held.score):
                best[listed.entry] = _Match(score, number, found)

    def _factor(self, query: ScreeningQuery, entry: ListEntry) -> float:
        """What birth date, kind and country make of a name score."""
        relation = birth_date_relation(query.date_of_birth, entry.birth_dates)
        factor = _WEIGHT_OF_BIRTH_DATE[relation]
        if query.kind != entry.kind:
            factor *= _OTHER_KIND
        if any(country.lower() in entry.countries for country in query.countries):
            factor *= _SAME_COUNTRY
        return factor

    def _hit(self, query: ScreeningQuery, match: _Match, *, exact: bool) -> ScreeningHit:
        listed = self._names[match.number]
        entry = self._entries[listed.entry]
        return ScreeningHit(
            list_id=entry.list_id,
            entry_id=entry.entry_id,
            listed_name=listed.name,
            score=round(match.score, 4),
            name_score=round(match.found.score, 4),
            exact=exact,
            birth_date=birth_date_relation(query.date_of_birth, entry.birth_dates),
            same_kind=query.kind == entry.kind,
            pairs=match.found.pairs,
            threshold=self.threshold,
        )


def compare_names(query: str, listed: str, kind: EntryKind) -> NameScore:
    """The score of two single names without lists, as `Matcher` would give it."""
    left, right = name_form(query, kind), name_form(listed, kind)
    alike = {
        ours: {theirs: token_similarity(ours, theirs) for theirs in right.weighty} for ours in left.weighty
    }
    return score_names(left, right, alike=alike, similarity=token_similarity)
