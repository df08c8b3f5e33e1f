"""Bundles that a stranger made: the verifier answers with a report, whatever the bytes are."""

import io
import os
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from activities.evidence import layout
from activities.evidence.reader import BundleReader
from activities.evidence.report import CheckFailedError, Status, VerificationReport
from activities.evidence.verify import verify_bundle
from activities.evidence.writer import BundleWriter
from tests.bundle_table import table_of

NAMES = [name for name in layout.MEMBERS if name != layout.BUNDLE]


def failed(report: VerificationReport) -> list[str]:
    """The names of the checks that failed."""
    return [check.name for check in report.checks if check.status is Status.FAILED]


def zip_of(path: Path, parts: dict[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> Path:
    """A zip with these members."""
    with zipfile.ZipFile(path, "w", method) as target:
        for name, content in parts.items():
            target.writestr(name, content)
    return path


def minimal(**changed: bytes) -> dict[str, bytes]:
    """Members with the right names and table, empty of sense."""
    parts = {name: changed.get(name, b"{}") for name in NAMES if name not in layout.OPTIONAL}
    return {**parts, layout.BUNDLE: table_of(parts)}


@given(content=st.binary(max_size=2000))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage_is_reported_and_never_raises(tmp_path: Path, content: bytes) -> None:
    """Bytes that are no bundle fail the first check."""
    path = tmp_path / "garbage.zip"
    path.write_bytes(content)
    assert failed(verify_bundle(path, None)) == ["container"]


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_zips_are_reported_and_never_raise(tmp_path: Path, data: st.DataObject) -> None:
    """Bytes changed anywhere in a zip, its directory included, never end the verifier."""
    path = zip_of(tmp_path / "bundle.zip", minimal())
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    assert not verify_bundle(path, None).ok


@given(name=st.sampled_from(NAMES), content=st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_senseless_members_are_reported_and_never_raise(tmp_path: Path, name: str, content: bytes) -> None:
    """A member of any content with an agreeing table fails a check and no more."""
    path = zip_of(tmp_path / "bundle.zip", minimal(**{name: content}))
    assert failed(verify_bundle(path, None))


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a":1,"a":2}', '{"a":NaN}', "1e999", '"\\ud800"', "9" * 5000, "{}\x00", "\ufeff{}"],
)
def test_hostile_json_is_reported(tmp_path: Path, text: str) -> None:
    """Depth, doubled keys, impossible numbers and lone surrogates end in a failed check."""
    path = zip_of(tmp_path / "bundle.zip", minimal(**{layout.REQUEST: text.encode()}))
    assert failed(verify_bundle(path, None)) == ["members"]


def test_a_zip_bomb_is_refused_before_it_unpacks(tmp_path: Path) -> None:
    """A member that would unpack to hundreds of times its size is not read."""
    path = zip_of(tmp_path / "bomb.zip", {**minimal(), layout.WALLETS: bytes(64 * 2**20)})
    parts = verify_bundle(path, None)
    assert failed(parts) == ["container"]
    assert "packed size" in parts.checks[0].sentence


def test_a_directory_that_understates_sizes_gains_nothing(tmp_path: Path) -> None:
    """A bomb whose directory claims a small size is cut at that size and fails its checksum."""
    parts = {name: b"{}" for name in NAMES if name not in layout.OPTIONAL}
    content = bytes(4 * 2**20)
    path = zip_of(tmp_path / "bomb.zip", {**parts, layout.WALLETS: content, layout.BUNDLE: b"{}"})
    raw = path.read_bytes().replace(len(content).to_bytes(4, "little"), (100).to_bytes(4, "little"))
    path.write_bytes(raw)
    assert not verify_bundle(path, None).ok


def test_a_long_line_is_refused(tmp_path: Path) -> None:
    """A line of many megabytes is not held in memory."""
    line = b'{"chain":"' + os.urandom(2**20).hex().encode() + b'"}\n'
    path = zip_of(tmp_path / "bundle.zip", {layout.SLICES: line})
    with BundleReader(path) as reader, pytest.raises(CheckFailedError, match="line longer"):
        list(reader.lines(layout.SLICES))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_only_deflate_is_read(tmp_path: Path, method: int) -> None:
    """Other packings bring other bombs; the format has one."""
    path = zip_of(tmp_path / "bundle.zip", minimal(), method=method)
    assert failed(verify_bundle(path, None)) == ["container"]


def test_paths_that_are_no_file_are_reported(tmp_path: Path) -> None:
    """A folder, a missing file and a device are failed checks, not errors."""
    for path in (tmp_path, tmp_path / "missing.zip", Path(os.devnull)):
        assert failed(verify_bundle(path, None)) == ["container"]


def test_a_comment_is_refused(tmp_path: Path) -> None:
    """Nothing may ride along that no digest covers."""
    path = zip_of(tmp_path / "bundle.zip", minimal())
    with zipfile.ZipFile(path, "a") as target:
        target.comment = b"hello"
    report = verify_bundle(path, None)
    assert failed(report) == ["container"]


def test_the_writer_gives_the_same_bytes_every_time(tmp_path: Path) -> None:
    """Content alone decides a bundle's bytes: no clock, no user, no order of a file system."""
    paths = [tmp_path / "one.zip", tmp_path / "two.zip"]
    for path in paths:
        with BundleWriter(path) as writer:
            writer.document(layout.REQUEST, {"b": 1, "a": "é"})
            writer.lines(layout.WALLETS, (b"{}" for _ in range(200_000)))
            writer.close({"v": 1})
    one, two = (path.read_bytes() for path in paths)
    assert one == two
    with zipfile.ZipFile(io.BytesIO(one)) as bundle:
        assert bundle.read(layout.REQUEST) == '{"a":"é","b":1}'.encode()
        assert len(bundle.read(layout.WALLETS)) == 3 * 200_000
        assert {entry.date_time for entry in bundle.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert bundle.testzip() is None
