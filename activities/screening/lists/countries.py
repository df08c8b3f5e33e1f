"""Country names as the authorities write them, turned into codes. A name it does not know is left out."""

from collections.abc import Iterable

from rigour.territories import lookup_territory


def country_codes(names: Iterable[str]) -> tuple[str, ...]:
    """Lower-case ISO 3166 alpha-2 codes of the names that are known, in order, each once."""
    found = (lookup_territory(name.strip()) for name in names if name.strip())
    return tuple(dict.fromkeys(place.code for place in found if place is not None))
