from rigour.territories import get_territories

from activities.intake.countries import COUNTRIES


def test_the_table_has_the_codes_that_are_assigned() -> None:
    """ISO 3166-1 has 249 officially assigned alpha-2 codes; a second source knows each of them."""
    known = {territory.code.upper() for territory in get_territories()}
    assert len(COUNTRIES) == 249
    assert known >= COUNTRIES
