"""The demo's people against the demo's lists."""

import csv
from datetime import date
from pathlib import Path

import pytest

from activities.screening.lists.registry import READERS, load_list
from activities.screening.matcher import Matcher, ScreeningHit, ScreeningQuery
from infra.demo import people
from infra.demo.people import COLUMNS, NEAR_MATCHES, write_people

LISTS = Path(people.__file__).parent / "lists"


@pytest.fixture(scope="module")
def matcher() -> Matcher:
    """The demo's lists, ready to compare with."""
    return Matcher([load_list(list_id, LISTS) for list_id in READERS], 0.8)


def _hits(path: Path, matcher: Matcher) -> dict[str, tuple[ScreeningHit, ...]]:
    with path.open(encoding="utf-8", newline="") as stream:
        found = {
            row["full_name"]: matcher.screen(
                ScreeningQuery(
                    kind="person",
                    full_name=row["full_name"],
                    date_of_birth=date.fromisoformat(row["date_of_birth"]),
                    countries=(row["country"], row["nationality"]),
                )
            )
            for row in csv.DictReader(stream)
        }
    return {name: hits for name, hits in found.items() if hits}


@pytest.mark.parametrize("seed", [1, 2, 1_763_683_200])
def test_a_thousand_people_hold_exactly_the_three_near_matches(
    seed: int, tmp_path: Path, matcher: Matcher
) -> None:
    """Two share a listed name but no birth date, one is the listed person, everybody else is clear."""
    write_people(tmp_path / "people.csv", 1000, seed)
    hits = _hits(tmp_path / "people.csv", matcher)
    assert {name: [hit.birth_date for hit in found] for name, found in hits.items()} == {
        NEAR_MATCHES[0].full_name: ["conflicts"],
        NEAR_MATCHES[1].full_name: ["conflicts"],
        NEAR_MATCHES[2].full_name: ["agrees"],
    }
    assert all(found[0].exact for found in hits.values())


def test_the_same_seed_writes_the_same_file(tmp_path: Path) -> None:
    """A demonstration can be repeated byte for byte."""
    for name in ("one.csv", "two.csv"):
        write_people(tmp_path / name, 50, 7)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


def test_every_row_has_its_own_subject_and_reference(tmp_path: Path) -> None:
    """Subject ids and KYC references count up and never repeat."""
    write_people(tmp_path / "people.csv", 200, 3)
    with (tmp_path / "people.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == COLUMNS
    assert [row["subject_id"] for row in rows] == [f"S-{number:06d}" for number in range(1, 201)]
    assert len({row["kyc_reference"] for row in rows}) == 200


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_a_handful_of_people_is_written_whole(count: int, tmp_path: Path) -> None:
    """A count too small for the near matches still gives that many rows."""
    write_people(tmp_path / "people.csv", count, 1)
    assert len((tmp_path / "people.csv").read_text(encoding="utf-8").splitlines()) == count + 1
