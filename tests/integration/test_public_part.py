"""The public part of a bundle holds nothing of any subject: plain, spelt otherwise, hashed or encoded."""

import base64
import csv
import gzip
import hashlib
import hmac
import io
import re
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import pyrage
import pytest
from tiny_keccak import keccak256

from activities import merkle
from activities.canonical import canonical
from activities.evidence.layout import RESTRICTED
from tests.integration.builders import BatchOnRecord
from tests.integration.office import an_office, private_key
from tests.integration.store_fixtures import Databases
from tests.integration.tampering import members

Row = dict[str, str]

ENCODED: Final = re.compile(rb"[A-Za-z0-9+/_-]{24,}={0,2}")
HEXADECIMAL: Final = re.compile(rb"(?:[0-9a-fA-F]{2}){12,}")


def _digest(name: str, raw: bytes) -> bytes:
    return hashlib.new(name, raw).digest()


HASHES: Final[tuple[Callable[[bytes], bytes], ...]] = (
    *(
        partial(_digest, name)
        for name in ("md5", "sha1", "sha256", "sha512", "sha3_256", "blake2b", "blake2s")
    ),
    lambda raw: hashlib.sha256(hashlib.sha256(raw).digest()).digest(),
    lambda raw: hashlib.sha256(b"\x00" + raw).digest(),
    keccak256,
)
"""Also the leaf hash of the trees, were a leaf to be a value itself."""

PERSONAL: Final = (
    "subject_id",
    "full_name",
    "date_of_birth",
    "document_number",
    "kyc_reference",
    "nationality",
    "label",
)
SPECIFIC: Final = 6
"""Characters from which on a value tells one person from another: two letters of a country do not."""


class Known(BatchOnRecord):
    """A batch of subjects of whom every column is known."""

    def _source(self) -> bytes:
        sink = io.StringIO()
        writer = csv.writer(sink, lineterminator="\n")
        writer.writerow(["subject_kind", "country", *PERSONAL])
        for n in range(self.count):
            own = [f"customer-9{n:05d}", f"Testa Persona{n:04d}", f"19{60 + n}-01-31", f"E{7300000 + n}"]
            writer.writerow(["person", "SG", *own, f"KYC-{880000 + n}", "MT", f"Klein account {n:04d}"])
        return sink.getvalue().encode()


@pytest.fixture(scope="module")
async def bundle(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> tuple[BatchOnRecord, Path]:
    """A batch with holds, refusals and a withheld subject, and its bundle."""
    batch = Known(databases=databases, office=an_office(tmp_path_factory.mktemp("public")))
    batch.complete()
    _, path = await batch.bundle()
    return batch, path


def subjects(batch: BatchOnRecord) -> list[Row]:
    """The rows as the requester gave them."""
    header, *lines = (batch.inbox / f"{batch.batch_id}.csv").read_text().splitlines()
    return [dict(zip(header.split(","), line.split(","), strict=True)) for line in lines]


def spellings(row: Row) -> Iterator[str]:
    """Every value of a subject that is theirs alone, the row itself, and how else one may write them."""
    values = [row[name] for name in PERSONAL if len(row[name]) >= SPECIFIC]
    parts = [part for part in row["full_name"].split() if part != "Testa"]
    joined = [sep.join(values) for sep in (",", "|", ";", "", " ")]
    whole = [canonical(row).decode(), ",".join(row.values()), row["full_name"] + row["date_of_birth"]]
    for value in {*values, *parts, *joined, *whole}:
        shown = (value, "".join(value.split()), value.replace("-", ""))
        yield from (written for one in shown for written in (one, one.lower(), one.upper()))


def traces(text: str) -> Iterator[bytes]:
    """A text as bytes, and its hashes raw, in hex and in base64."""
    for raw in (text.encode(), text.encode() + b"\n", text.encode("utf-16-le")):
        yield raw
        yield base64.b64encode(raw).rstrip(b"=")
        yield raw.hex().encode()
        for hashed in HASHES:
            digest = hashed(raw)
            yield from (digest, digest.hex().encode(), base64.b64encode(digest).rstrip(b"="))


def layers(content: bytes, *, depth: int = 3) -> Iterator[bytes]:
    """The bytes, and whatever is encoded or packed in them, layer by layer."""
    yield content
    yield content.lower()
    if not depth:
        return
    for found in {*ENCODED.findall(content), *HEXADECIMAL.findall(content)}:
        for decode in (_from_base64, _from_hex):
            inner = decode(found)
            if inner:
                yield from layers(inner, depth=depth - 1)
    for unpack in (gzip.decompress, zlib.decompress):
        try:
            inner = unpack(content)
        except (OSError, zlib.error, EOFError):
            continue
        yield from layers(inner, depth=depth - 1)


def _from_base64(found: bytes) -> bytes:
    padded = found.rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
    try:
        return base64.b64decode(padded + b"=" * (-len(padded) % 4))
    except ValueError:
        return b""


def _from_hex(found: bytes) -> bytes:
    try:
        return bytes.fromhex(found.decode())
    except ValueError:
        return b""


def haystack(parts: dict[str, bytes], raw: bytes) -> bytes:
    """Every layer of every member, and the file as it lies on the disk."""
    sink = io.BytesIO()
    for content in (*(content for name, content in parts.items() if name != RESTRICTED), raw):
        for layer in layers(content):
            sink.write(layer + b"\x00\xff\x00")
    return sink.getvalue()


def found_in(hay: bytes, rows: list[Row]) -> set[str]:
    """The spellings of which a trace stands in the bytes."""
    begins = {hay[at : at + SPECIFIC] for at in range(len(hay))}
    hits: set[str] = set()
    for text in {text for row in rows for text in spellings(row)}:
        if any(trace[:SPECIFIC] in begins and trace in hay for trace in traces(text)):
            hits.add(text)
    return hits


def test_no_value_of_any_subject_is_in_the_public_part(bundle: tuple[BatchOnRecord, Path]) -> None:
    """Names, birth dates, references, ids and whole rows: not plain, not hashed, not inside of anything."""
    batch, path = bundle
    rows = subjects(batch)
    assert len(rows) == batch.count
    assert found_in(haystack(members(path), path.read_bytes()), rows) == set()


PLANTED: Final[dict[str, Callable[[Row], bytes]]] = {
    "plain": lambda row: row["full_name"].encode(),
    "upper case": lambda row: row["full_name"].upper().encode(),
    "without blanks": lambda row: row["label"].replace(" ", "").lower().encode(),
    "sha-256 in hex": lambda row: hashlib.sha256(row["kyc_reference"].encode()).hexdigest().encode(),
    "sha-512 with newline": lambda row: hashlib.sha512(row["subject_id"].encode() + b"\n").digest(),
    "keccak in base64": lambda row: base64.b64encode(keccak256(row["date_of_birth"].encode())),
    "a leaf of the row": lambda row: hashlib.sha256(b"\x00" + canonical(row)).hexdigest().encode(),
    "inside base64": lambda row: base64.b64encode(b"a note on " + row["document_number"].encode() + b"."),
    "packed in hex": lambda row: gzip.compress(row["kyc_reference"].encode() * 5).hex().encode(),
}


@pytest.mark.parametrize("how", PLANTED)
def test_the_search_finds_what_is_planted(bundle: tuple[BatchOnRecord, Path], how: str) -> None:
    """A search that finds nothing must be one that would."""
    row = subjects(bundle[0])[3]
    hidden = {"audit.jsonl": b'{"body":"","x":"' + PLANTED[how](row) + b'"}\n'}
    assert found_in(haystack(hidden, b""), [row])


def test_a_guessed_row_matches_no_leaf_without_its_salt(bundle: tuple[BatchOnRecord, Path]) -> None:
    """Who knows a person's row to the letter cannot tell from the public part whether they are in it."""
    batch, path = bundle
    identity = pyrage.ssh.Identity.from_buffer(private_key(batch.office.auditor))
    parts, rows = members(path), subjects(batch)
    sealed = gzip.decompress(pyrage.decrypt(parts[RESTRICTED], [identity]))
    salts = [bytes.fromhex(salt.decode()) for salt in re.findall(rb'"salt":"([0-9a-f]{32})"', sealed)]
    assert len(set(salts)) == len(rows)
    leaves = [hmac.digest(salt, canonical(row), "sha256") for salt, row in zip(salts, rows, strict=True)]
    root = merkle.root(leaves).hex().encode()
    assert root in parts["plan.json"]
    unsalted = [merkle.root(hashlib.sha256(canonical(row)).digest() for row in rows)]
    unsalted += [
        merkle.root(hmac.digest(bytes(n), canonical(row), "sha256") for row in rows) for n in (0, 16)
    ]
    hay = haystack(parts, b"")
    assert not any(guess in hay or guess.hex().encode() in hay for guess in unsalted)
    for salt, leaf in zip(salts, leaves, strict=True):
        assert not any(secret in hay or secret.hex().encode() in hay for secret in (salt, leaf))
