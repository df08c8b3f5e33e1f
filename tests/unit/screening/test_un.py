"""The UN's XML: what is read, and every way of being cut short, malformed or hostile that is refused."""

import hashlib
import json
import time
from datetime import date
from pathlib import Path

import pytest

from activities.screening.lists.entries import (
    ListUnreadableError,
    PartialDate,
    ScreeningList,
    in_years,
    on_day,
)
from activities.screening.lists.registry import load_list
from activities.screening.lists.spellings import spellings
from tests.unit.screening.real_lists import un_folder

BORN = "<TYPE_OF_DATE>EXACT</TYPE_OF_DATE><DATE>1970-01-02</DATE>"
PERSON = """<INDIVIDUAL><DATAID>1</DATAID><FIRST_NAME>JANE</FIRST_NAME><SECOND_NAME>DOE</SECOND_NAME>
<REFERENCE_NUMBER>XXi.1</REFERENCE_NUMBER><NATIONALITY><VALUE>Yemen</VALUE></NATIONALITY>
<INDIVIDUAL_ALIAS><QUALITY>Good</QUALITY><ALIAS_NAME>Jane Roe; Jayne Roe</ALIAS_NAME></INDIVIDUAL_ALIAS>
<INDIVIDUAL_ALIAS><QUALITY>Low</QUALITY><ALIAS_NAME>Janie</ALIAS_NAME></INDIVIDUAL_ALIAS>
<INDIVIDUAL_ALIAS><QUALITY/><ALIAS_NAME/></INDIVIDUAL_ALIAS>
<INDIVIDUAL_DATE_OF_BIRTH>{born}</INDIVIDUAL_DATE_OF_BIRTH></INDIVIDUAL>"""
ENTITY = """<ENTITY><DATAID>2</DATAID><FIRST_NAME>ACME LTD</FIRST_NAME>
<REFERENCE_NUMBER>XXe.1</REFERENCE_NUMBER></ENTITY>"""


def _xml(
    persons: str = PERSON.format(born=BORN), entities: str = ENTITY, when: str = "2026-02-27T00:00"
) -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><CONSOLIDATED_LIST dateGenerated="{when}">'
        f"<INDIVIDUALS>{persons}</INDIVIDUALS><ENTITIES>{entities}</ENTITIES></CONSOLIDATED_LIST>"
    )


def _folder(tmp_path: Path, content: str | bytes) -> Path:
    folder = tmp_path / "un-consolidated"
    folder.mkdir()
    (folder / "consolidated.xml").write_bytes(content if isinstance(content, bytes) else content.encode())
    return tmp_path


def _reason(lists: Path) -> str:
    with pytest.raises(ListUnreadableError) as refused:
        load_list("un-consolidated", lists)
    assert refused.value.list_id == "un-consolidated"
    return refused.value.reason


def test_an_entry_holds_names_birth_dates_and_countries(tmp_path: Path) -> None:
    """Name parts are joined, aliases taken apart, those of low quality marked."""
    listed = load_list("un-consolidated", _folder(tmp_path, _xml()))
    person, entity = listed.entries
    assert (person.entry_id, person.kind) == ("XXi.1", "person")
    assert person.names == ("JANE DOE", "Jane Roe; Jayne Roe", "Jane Roe", "Jayne Roe", "Janie")
    assert person.weak_names == ("Janie",)
    assert person.birth_dates == (on_day(date(1970, 1, 2)),)
    assert person.countries == ("ye",)
    assert (entity.entry_id, entity.kind, entity.names) == ("XXe.1", "entity", ("ACME LTD",))
    assert listed.published_on == date(2026, 2, 27)
    assert listed.digest == hashlib.sha256(_xml().encode()).hexdigest()


@pytest.mark.parametrize(
    ("born", "expected"),
    [
        ("<TYPE_OF_DATE>EXACT</TYPE_OF_DATE><YEAR>1971</YEAR>", in_years(1971, 1971)),
        ("<TYPE_OF_DATE>APPROXIMATELY</TYPE_OF_DATE><YEAR>1966</YEAR>", in_years(1966, 1966, circa=True)),
        (
            "<TYPE_OF_DATE>BETWEEN</TYPE_OF_DATE><FROM_YEAR>1973</FROM_YEAR><TO_YEAR>1974</TO_YEAR>",
            in_years(1973, 1974),
        ),
        ("<TYPE_OF_DATE>EXACT</TYPE_OF_DATE><NOTE>Nov. 1973</NOTE>", None),
        ("<TYPE_OF_DATE/>", None),
        ("<YEAR>unknown</YEAR>", None),
        ("<DATE>1971-02-31</DATE>", None),
    ],
)
def test_birth_dates_are_read_as_precisely_as_they_are_known(
    born: str, expected: PartialDate | None, tmp_path: Path
) -> None:
    """A wording that is no date gives none, so that it damps nothing."""
    listed = load_list("un-consolidated", _folder(tmp_path, _xml(PERSON.format(born=born))))
    assert listed.entries[0].birth_dates == (() if expected is None else (expected,))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Jin Tiesan (金铁三)", ["Jin Tiesan", "金铁三"]),
        ("Abubakar (original script: Абубакар)", ["Abubakar", "Абубакар"]),
        ("Encep Nurjaman (birth name)", ["Encep Nurjaman"]),
        ("BUTEMBO AIRLINES (BAL)", ["BUTEMBO AIRLINES", "BAL"]),
        ("AL-HARAMAIN FOUNDATION (PAKISTAN)", []),
        ("LEADER (HONG KONG) INTERNATIONAL", []),
        ("A Sabet b) M. Javad Sabet; M. Jawad Sabet", ["A Sabet", "M. Javad Sabet", "M. Jawad Sabet"]),
        ("Safia Farkash, born 1 Jan. 1953 (Oman passport no.1)", ["Safia Farkash"]),
        (") Abdelrahman Juhan", ["Abdelrahman Juhan"]),
        ("   ", None),
    ],
)
def test_the_single_names_in_a_text_are_found(text: str, names: list[str] | None) -> None:
    """The text stays a name itself; places and remarks in brackets never become one."""
    expected = [] if names is None else [" ".join(text.split()), *names]
    assert spellings(text) == expected


LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol">'
    + "".join(f'<!ENTITY lol{n} "{f"&lol{n - 1};" * 10}">' for n in range(1, 10))
    + "]><CONSOLIDATED_LIST>&lol9;</CONSOLIDATED_LIST>"
).replace("&lol0;", "&lol;")
OUTSIDE = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY file SYSTEM "file:///etc/hostname">]>'
    "<CONSOLIDATED_LIST>&file;</CONSOLIDATED_LIST>"
)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (_xml()[:-10], "cut short or malformed"),
        (_xml()[: len(_xml()) // 2], "cut short or malformed"),
        (_xml().replace("</INDIVIDUAL>", "", 1), "cut short or malformed"),
        (LAUGHS, "cut short or malformed"),
        (OUTSIDE, "cut short or malformed"),
        ("not xml at all", "cut short or malformed"),
        (b"\x00\x01\x02", "cut short or malformed"),
        ('<?xml version="1.0" encoding="nonsense"?><a/>', "cut short or malformed"),
        (_xml().replace("JANE", "JAN\xc9").encode("latin-1"), "cut short or malformed"),
        ("<html><body>Service unavailable</body></html>", "not a consolidated list"),
        (_xml().replace("ENTITIES", "OTHERS"), "not a consolidated list"),
        (_xml("", ""), "no entries"),
        (_xml(when=""), "when it was generated"),
        (_xml(when="yesterday"), "when it was generated"),
        (_xml(entities=ENTITY.replace("ACME LTD", " ")), "no number or no name"),
        (_xml(entities=ENTITY * 2), "same number"),
        (b"", "empty"),
    ],
)
def test_a_damaged_or_hostile_file_is_refused(content: str | bytes, reason: str, tmp_path: Path) -> None:
    """A list that is not whole is never read as a shorter one, and nothing in it is expanded or fetched."""
    assert reason in _reason(_folder(tmp_path, content))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """No file, no list."""
    assert _reason(tmp_path) == "a file is missing"


def test_a_sidecar_is_not_needed_but_must_be_true(tmp_path: Path) -> None:
    """Where there is one, its digest and count are checked."""
    lists = _folder(tmp_path, _xml())
    stated = {
        "source": "UN",
        "published_on": "2026-02-27",
        "sha256": {"consolidated.xml": hashlib.sha256(_xml().encode()).hexdigest()},
        "entry_count": 2,
    }
    sidecar = lists / "un-consolidated" / "provenance.json"
    sidecar.write_text(json.dumps(stated))
    assert load_list("un-consolidated", lists).source == "UN"
    sidecar.write_text(json.dumps({**stated, "entry_count": 3}))
    assert "entry count" in _reason(lists)
    sidecar.write_text(json.dumps({**stated, "sha256": {}}))
    assert "not the one its provenance vouches for" in _reason(lists)


def test_the_published_list_is_read_whole(un: ScreeningList) -> None:
    """February 2026: 730 individuals, 273 entities, dated by the file itself."""
    kinds = [entry.kind for entry in un.entries]
    assert (kinds.count("person"), kinds.count("entity")) == (730, 273)
    assert un.published_on == date(2026, 2, 27)
    assert sum(len(entry.names) for entry in un.entries) > 4_300


def test_the_published_list_cut_short_is_refused(tmp_path: Path) -> None:
    """A download that broke off is refused."""
    lists = un_folder(tmp_path)
    path = lists / "un-consolidated" / "consolidated.xml"
    path.write_bytes(path.read_bytes()[:-100])
    assert "cut short" in _reason(lists)


@pytest.mark.parametrize(
    "born",
    ["<YEAR>99999999999999999999</YEAR>", "<YEAR>0</YEAR>", "<YEAR>-1</YEAR>", "<YEAR>\u0661\u0669</YEAR>",
     "<FROM_YEAR>1</FROM_YEAR><TO_YEAR>10000</TO_YEAR>", "<DATE>0000-00-00</DATE>",
     f"<YEAR>{'9' * 5000}</YEAR>"],
    ids=["far", "zero", "minus", "digits", "span", "no date", "long"],
)  # fmt: skip
def test_a_birth_date_of_no_calendar_says_nothing(born: str, tmp_path: Path) -> None:
    """A year that no calendar holds damps no match, and keeps nobody off the list."""
    listed = load_list("un-consolidated", _folder(tmp_path, _xml(PERSON.format(born=born))))
    assert len(listed.entries) == 2
    assert all(found.first.year == 19 for found in listed.entries[0].birth_dates)


@pytest.mark.parametrize("filler", ["<a/>", '<a b=""/>'], ids=["elements", "attributes"])
def test_xml_of_more_elements_than_memory_is_refused_unread(filler: str, tmp_path: Path) -> None:
    """Small marks become large objects: they are counted before any is made."""
    began = time.monotonic()
    assert _reason(_folder(tmp_path, _xml(filler * 2_000_001))).startswith("the XML has more elements")
    assert time.monotonic() - began < 2


def test_xml_nested_without_end_is_refused(tmp_path: Path) -> None:
    """Depth ends neither the reader nor the worker."""
    reason = _reason(_folder(tmp_path, "<a>" * 300_000 + "</a>" * 300_000))
    assert reason == "the XML is not a consolidated list"
