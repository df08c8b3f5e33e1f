"""OFAC's files: what is read, and every way of being cut short or malformed that is refused."""

import hashlib
import json
from datetime import date
from pathlib import Path

import pytest

from activities.screening.lists.entries import (
    ListEntry,
    ListUnreadableError,
    PartialDate,
    ScreeningList,
    in_month,
    in_years,
    on_day,
)
from activities.screening.lists.registry import load_list
from tests.unit.screening.real_lists import ofac_folder, write_provenance

EMPTY = ",-0- " * 8
PERSON = f'7,"DOE, Jane","individual"{EMPTY},"DOB 02 Jan 1970; nationality Iran; a.k.a. \'JD\'."\r\n'
COMPANY = f'8,"ACME LTD.",-0- {EMPTY},-0- \r\n'
VESSEL = f'9,"SEA STAR","vessel"{EMPTY},-0- \r\n'
ALIAS = '7,1,"aka","ROE, Jane",-0- \r\n'
END = "\x1a"


def _folder(tmp_path: Path, sdn: str | bytes, alt: str | bytes = ALIAS + END, *, count: int = 3) -> Path:
    folder = tmp_path / "ofac-sdn"
    folder.mkdir()
    for name, content in (("sdn.csv", sdn), ("alt.csv", alt)):
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    write_provenance(folder, published_on=date(2026, 1, 2), entry_count=count)
    return tmp_path


def _reason(lists: Path) -> str:
    with pytest.raises(ListUnreadableError) as refused:
        load_list("ofac-sdn", lists)
    assert refused.value.list_id == "ofac-sdn"
    return refused.value.reason


def test_an_entry_holds_names_birth_dates_and_countries(tmp_path: Path) -> None:
    """Names, aliases, remarks and kinds of the authority's rows become one entry each."""
    listed = load_list("ofac-sdn", _folder(tmp_path, PERSON + COMPANY + VESSEL + END))
    assert listed.entries[0] == ListEntry(
        list_id="ofac-sdn",
        entry_id="7",
        kind="person",
        names=("DOE, Jane", "ROE, Jane", "JD"),
        weak_names=("JD",),
        birth_dates=(on_day(date(1970, 1, 2)),),
        countries=("ir",),
    )
    assert [entry.kind for entry in listed.entries] == ["person", "entity", "other"]
    assert (listed.published_on, listed.entry_count) == (date(2026, 1, 2), 3)


def test_the_digest_is_over_both_files_in_order(tmp_path: Path) -> None:
    """Anyone can repeat the digest with `cat sdn.csv alt.csv | sha256sum`."""
    listed = load_list("ofac-sdn", _folder(tmp_path, PERSON + COMPANY + VESSEL + END))
    whole = (PERSON + COMPANY + VESSEL + END + ALIAS + END).encode()
    assert listed.digest == hashlib.sha256(whole).hexdigest()


@pytest.mark.parametrize(
    ("remark", "expected"),
    [
        ("DOB 28 Jul 1963", on_day(date(1963, 7, 28))),
        ("alt. DOB 1964", in_years(1964, 1964)),
        ("DOB Feb 1964", in_month(1964, 2)),
        ("DOB circa 1964", in_years(1964, 1964, circa=True)),
        ("DOB 1955 to 1958", in_years(1955, 1958)),
        ("DOB circa 1979-1982", in_years(1979, 1982, circa=True)),
        ("DOB Aug 1977 to Sep 1977", PartialDate(first=date(1977, 8, 1), last=date(1977, 9, 30))),
        ("DOB 01 Jan 1961 to 31 Dec 1961", in_years(1961, 1961)),
        ("DOB 31 Feb 1961", None),
        ("DOB 1962 to 1960", None),
        ("DOB unknown", None),
    ],
)
def test_birth_dates_are_read_as_precisely_as_they_are_known(
    remark: str, expected: PartialDate | None, tmp_path: Path
) -> None:
    """A wording that is no date gives none, so that it damps nothing."""
    row = f'7,"DOE, Jane","individual"{EMPTY},"{remark}; POB Cork, Ireland."\r\n'
    listed = load_list("ofac-sdn", _folder(tmp_path, row + END, count=1))
    assert listed.entries[0].birth_dates == (() if expected is None else (expected,))


GOOD = PERSON + COMPANY + VESSEL


@pytest.mark.parametrize(
    ("sdn", "alt", "reason"),
    [
        (GOOD, ALIAS + END, "cut short"),
        (GOOD + END, ALIAS, "cut short"),
        (GOOD[:-2] + END, ALIAS + END, "cut short"),
        (END, ALIAS + END, "belongs to no entry"),
        (GOOD + END + PERSON, ALIAS + END, "after its end mark"),
        (GOOD + "10,x\r\n" + END, ALIAS + END, "published columns"),
        (GOOD + PERSON.replace("7,", "x,", 1) + END, ALIAS + END, "published columns"),
        (GOOD.replace('"ACME LTD."', "-0- ") + END, ALIAS + END, "published columns"),
        ("<html>Service unavailable</html>\r\n" + END, ALIAS + END, "published columns"),
        (GOOD + END, '7,1,"aka"\r\n' + END, "published columns"),
        (GOOD + END, "77" + ALIAS + END, "belongs to no entry"),
        (GOOD + PERSON + END, ALIAS + END, "same number"),
        (GOOD.replace('"vessel"', '"submarine"') + END, ALIAS + END, "unknown kind"),
        (GOOD.replace('"ACME LTD."', '"ACME" LTD."') + END, ALIAS + END, "readable as CSV"),
        (GOOD.replace("Jane", "Jan\xe9").encode("latin-1") + END.encode(), ALIAS + END, "UTF-8"),
        (PERSON + COMPANY + END, ALIAS + END, "entry count"),
        (b"", ALIAS + END, "empty"),
    ],
)
def test_a_damaged_file_is_refused_even_when_its_sidecar_vouches_for_it(
    sdn: str | bytes, alt: str | bytes, reason: str, tmp_path: Path
) -> None:
    """A list that is not whole is never read as a shorter one."""
    assert reason in _reason(_folder(tmp_path, sdn, alt))


def test_a_list_without_entries_is_refused(tmp_path: Path) -> None:
    """Nothing listed is a fault of the file, not a clean world."""
    assert "no entries" in _reason(_folder(tmp_path, END, END, count=1))


def test_without_a_sidecar_the_list_is_refused(tmp_path: Path) -> None:
    """The files carry no date, so nothing says how old they are."""
    lists = _folder(tmp_path, GOOD + END)
    (lists / "ofac-sdn" / "provenance.json").unlink()
    assert "no provenance sidecar" in _reason(lists)


@pytest.mark.parametrize("content", ["", "[]", "{}", "{", '{"source": 1}', "[" * 100_000, "\xff"])
def test_a_malformed_sidecar_is_refused(content: str, tmp_path: Path) -> None:
    """Half a sidecar vouches for nothing."""
    lists = _folder(tmp_path, GOOD + END)
    (lists / "ofac-sdn" / "provenance.json").write_bytes(content.encode("latin-1"))
    assert _reason(lists) in {"a file is empty", "its provenance sidecar is malformed"}


@pytest.mark.parametrize("name", ["sdn.csv", "alt.csv"])
def test_a_file_the_sidecar_does_not_vouch_for_is_refused(name: str, tmp_path: Path) -> None:
    """One changed byte, and the list is not the published one."""
    lists = _folder(tmp_path, GOOD + END)
    path = lists / "ofac-sdn" / name
    path.write_bytes(path.read_bytes().replace(b"Jane", b"June"))
    assert "not the one its provenance vouches for" in _reason(lists)


@pytest.mark.parametrize("name", ["sdn.csv", "alt.csv"])
def test_a_missing_file_is_refused(name: str, tmp_path: Path) -> None:
    """Aliases are half the list: without them it is not read."""
    lists = _folder(tmp_path, GOOD + END)
    (lists / "ofac-sdn" / name).unlink()
    assert _reason(lists) == "a file is missing"


def test_an_unreadable_path_is_refused(tmp_path: Path) -> None:
    """A folder where a file should be is no list."""
    lists = _folder(tmp_path, GOOD + END)
    (lists / "ofac-sdn" / "sdn.csv").unlink()
    (lists / "ofac-sdn" / "sdn.csv").mkdir()
    assert _reason(lists) == "a file is missing"


def test_an_unknown_list_id_is_refused_without_looking(tmp_path: Path) -> None:
    """A list id is never made into a path of its own."""
    with pytest.raises(ListUnreadableError, match="no reader"):
        load_list("../ofac-sdn", tmp_path)


def test_a_refusal_repeats_nothing_of_the_content(tmp_path: Path) -> None:
    """The reason is a fixed sentence: files of lists end up in logs by way of errors."""
    lists = _folder(tmp_path, GOOD + "SECRETNAME,x\r\n" + END)
    with pytest.raises(ListUnreadableError) as refused:
        load_list("ofac-sdn", lists)
    assert "SECRETNAME" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_the_published_list_is_read_whole(ofac: ScreeningList) -> None:
    """July 2021: every row an entry, every alias a name."""
    assert ofac.entry_count == len(ofac.entries) == 8976
    assert sum(len(entry.names) - len(entry.weak_names) for entry in ofac.entries) > 20_800
    assert sum(len(entry.weak_names) for entry in ofac.entries) > 2_400
    persons = [entry for entry in ofac.entries if entry.kind == "person"]
    assert len(persons) == 4620
    assert sum(bool(entry.birth_dates) for entry in persons) == 4428


def test_a_copy_without_end_marks_is_read_only_when_its_sidecar_says_so(tmp_path: Path) -> None:
    """The edition of 2019 was stored without them: its digests and count vouch instead."""
    stated = ofac_folder(tmp_path / "stated", "2019-01", date(2019, 1, 11), end_mark=False)
    assert load_list("ofac-sdn", stated).entry_count == 7379
    silent = ofac_folder(tmp_path / "silent", "2019-01", date(2019, 1, 11))
    assert "cut short" in _reason(silent)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.999])
def test_the_published_list_cut_anywhere_is_refused(share: float, tmp_path: Path) -> None:
    """A download that broke off is refused, also when its sidecar was made from what arrived."""
    lists = ofac_folder(tmp_path, "2021-07", date(2021, 7, 1))
    path = lists / "ofac-sdn" / "sdn.csv"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert "not the one its provenance" in _reason(lists)
    write_provenance(path.parent, published_on=date(2021, 7, 1), entry_count=8976)
    assert "cut short" in _reason(lists)


def test_a_sidecar_with_unknown_fields_is_refused(tmp_path: Path) -> None:
    """A word nobody knows may be a misspelt one that matters."""
    lists = _folder(tmp_path, GOOD + END)
    path = lists / "ofac-sdn" / "provenance.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "end_mark_mising": True}))
    assert "sidecar is malformed" in _reason(lists)
