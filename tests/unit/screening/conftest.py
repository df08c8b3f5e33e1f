"""The real lists, read once for all tests of screening."""

from datetime import date

import pytest

from activities.screening.lists.entries import ScreeningList
from activities.screening.lists.registry import load_list
from activities.screening.matcher import RECOMMENDED_THRESHOLD, Matcher
from tests.unit.screening.real_lists import ofac_folder, un_folder


@pytest.fixture(scope="package")
def ofac(tmp_path_factory: pytest.TempPathFactory) -> ScreeningList:
    """OFAC's list of July 2021."""
    folder = ofac_folder(tmp_path_factory.mktemp("ofac"), "2021-07", date(2021, 7, 1))
    return load_list("ofac-sdn", folder)


@pytest.fixture(scope="package")
def un(tmp_path_factory: pytest.TempPathFactory) -> ScreeningList:
    """The UN's list of February 2026."""
    return load_list("un-consolidated", un_folder(tmp_path_factory.mktemp("un")))


@pytest.fixture(scope="package")
def matcher(ofac: ScreeningList, un: ScreeningList) -> Matcher:
    """Both lists, ready to compare with."""
    return Matcher([ofac, un], RECOMMENDED_THRESHOLD)
