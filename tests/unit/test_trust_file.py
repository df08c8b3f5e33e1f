"""The trust file: what is read, and what is refused by name."""

import base64
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.failures import InvalidRequestError
from activities.trust.allowed_signers import parse_allowed_signers
from activities.trust.trust_file import load_trust, parse_trust
from infra.auditor import verify_bundle as second
from tests.signers import Signer
from tests.trust_room import KIM, LEE, LEE_SECOND, OPS, PERSONS, STRANGER, Person, person, trust, trust_text
from tests.vectors import vectors_dir

ATTEST = base64.b64encode(b"\x07" * 32).decode("ascii")


def _problems(text: str) -> str:
    with pytest.raises(InvalidRequestError) as caught:
        parse_trust(text)
    return caught.value.message


def _keys(count: int) -> list[str]:
    return [base64.b64encode(bytes([number]) * 32).decode("ascii") for number in range(count)]


def _with_line(line: str) -> str:
    lines = "\n".join(each.lines() for each in PERSONS.values())
    return trust_text(lines=f"{lines}\n{line}")


def test_trust_file_gives_persons_keys_and_floors() -> None:
    """Everything the rules need is read from one file."""
    text = trust_text(floors=2).replace("[floors]", f'[attest]\npublic_keys = ["{ATTEST}"]\n\n[floors]')
    read = parse_trust(text)
    assert (read.deployment, read.floors.approvals_min) == ("acme-prod", 2)
    assert read.attest_keys == (b"\x07" * 32,)
    assert read.persons[LEE.name].roles == {"compliance_officer"}
    assert read.persons[LEE.name].tenants == {"acme"}
    assert len(read.persons[LEE.name].keys) == 2


def test_person_is_found_by_any_of_their_keys() -> None:
    """Two keys, one person; a foreign key is nobody's."""
    read = trust()
    for signer in (LEE, LEE_SECOND):
        found = read.person_for(signer.public_key)
        assert found is not None
        assert found.name == LEE.name
    assert read.person_for(STRANGER.public_key) is None
    assert read.key_for(STRANGER.public_key) is None


def test_person_is_found_by_any_spelling_of_a_name() -> None:
    """Case and other names lead to the same person; a stranger's name to nobody."""
    read = trust(person(LEE, extra='also_known_as = ["old-lee@acme.example"]'))
    for name in ("LEE@acme.example", "Old-Lee@ACME.example"):
        found = read.person_named(name)
        assert found is not None
        assert found.name == LEE.name
    assert read.person_named("nobody@acme.example") is None
    assert read.person_named("l\u0435e@acme.example") is None


@pytest.mark.parametrize("written", ['"2026-03-01T00:00:00Z"', "2026-03-01T00:00:00Z"])
def test_revocation_may_be_written_bare_or_quoted(written: str) -> None:
    """TOML's own time and a quoted one mean the same."""
    read = trust(person(LEE, extra=f"revoked_at = {written}"))
    assert read.persons[LEE.name].revoked_at == datetime(2026, 3, 1, tzinfo=UTC)


def test_limits_of_a_key_are_read() -> None:
    """Purposes and times of the line stand with the key."""
    options = 'namespaces="git,walletworks-*",valid-after="20260101Z",valid-before="202701020304Z"'
    (key,) = trust(person(KIM, options=options)).persons[KIM.name].keys
    assert key.namespaces == ("git", "walletworks-*")
    assert key.valid_after == datetime(2026, 1, 1, tzinfo=UTC)
    assert key.valid_before == datetime(2027, 1, 2, 3, 4, tzinfo=UTC)


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa", "ed25519_sk", "ecdsa_sk"])
def test_key_of_every_accepted_kind_may_be_listed(kind: str) -> None:
    """FIDO keys stand in the file like any other."""
    public = (vectors_dir() / "sshsig" / "openssh" / f"{kind}.pub").read_text(encoding="ascii")
    newcomer = Person(signer=Signer(name="new@acme.example"), roles=())
    lines = "\n".join(each.lines() for each in PERSONS.values())
    read = parse_trust(trust_text(newcomer, lines=f"{lines}\nnew@acme.example {public}"))
    assert read.person_for(base64.b64decode(public.split()[1])) is read.persons["new@acme.example"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (f"nobody@acme.example {STRANGER.openssh}", "line 6: the principal has no entry in persons"),
        (f"{KIM.name} {LEE.openssh}", "line 6: the same key stands on line 2"),
        (f"{LEE.name} {LEE.openssh}", "line 6: the same key stands on line 2"),
        (f"*@acme.example {STRANGER.openssh}", "line 6: must name exactly one person"),
        (f"{LEE.name},{KIM.name} {STRANGER.openssh}", "line 6: must name exactly one person"),
        (f"!{LEE.name} {STRANGER.openssh}", "line 6: must name exactly one person"),
        (f"{LEE.name} cert-authority {STRANGER.openssh}", "line 6: cert-authority is not supported"),
        (f'{LEE.name} valid-after="20260101" {STRANGER.openssh}', "valid-after must be YYYYMMDD"),
        (f'{LEE.name} valid-before="20261301Z" {STRANGER.openssh}', "valid-before must be YYYYMMDD"),
        (f'{LEE.name} namespaces="!git" {STRANGER.openssh}', "namespaces may use"),
        (f'{LEE.name} namespaces="" {STRANGER.openssh}', "namespaces may use"),
        (f'{LEE.name} namespaces="git,!git" {STRANGER.openssh}', "namespaces may use"),
        (f"{LEE.name} ssh-ed25519 *{STRANGER.openssh.split()[1]}", "the key is not base64"),
        (f"{LEE.name} touch-required {STRANGER.openssh}", "line 6: the key is not base64"),
        (f'{LEE.name} touch="yes" {STRANGER.openssh}', "line 6: is not in the allowed signers format"),
        (LEE.name, "line 6: is not in the allowed signers format"),
        (f"{LEE.name} ssh-rsa {STRANGER.openssh.split()[1]}", "the key is of another type"),
        (f"{LEE.name} ssh-ed25519 AAAA", "the key is refused"),
        (f"{LEE.name} ssh-ed25519 ====", "the key is not base64"),
        (f"l\u0435e@acme.example {STRANGER.openssh}", "line 6: holds letters outside ASCII"),
    ],
    ids=map(str, count(1)),  # the keys are new in every run, and names of tests are not
)
def test_line_that_is_ambiguous_or_broken_is_refused_by_number(line: str, problem: str) -> None:
    """The number and the rule are told; the line is not repeated."""
    message = _problems(_with_line(line))
    assert problem in message
    assert STRANGER.openssh.split()[1] not in message


def test_comments_and_empty_lines_are_passed_over() -> None:
    """Allowed-signers files may explain themselves."""
    assert set(parse_trust(_with_line("# a comment\n\n")).persons) == {each.name for each in PERSONS}


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('deployment = "acme-prod"', "", "deployment: missing"),
        ('deployment = "acme-prod"', 'deployment = "a b"', "deployment: has the wrong form"),
        ('deployment = "acme-prod"', 'deployment = "acme-prod"\nspare = 1', "spare: unknown field"),
        ("[floors]", "[floors]\nspare = 1", "floors.spare: unknown field"),
        ("[floors]", "[attest]\npublic_keys = []\n[floors]", "attest.public_keys: "),
        ("[floors]", '[attest]\npublic_keys = ["AAAA"]\n[floors]', "attest.public_keys.0: is not 32 bytes"),
        ("[floors]", '[attest]\npublic_keys = ["*"]\n[floors]', "attest.public_keys.0: is not"),
        ("[floors]", f'[attest]\npublic_keys = ["{ATTEST}", "{ATTEST}"]\n[floors]', "stands twice"),
        (
            "[floors]",
            f'[attest]\npublic_keys = ["*{ATTEST}"]\n[floors]',
            "attest.public_keys.0: is not base64",
        ),
        ("[floors]", f"[attest]\npublic_keys = {_keys(17)}\n[floors]", "attest.public_keys: "),
        ("approvals_min = 0", "approvals_min = 21", "floors.approvals_min: "),
        ('roles = ["compliance_officer"]', f"roles = {['a'] * 51}", "roles: "),
        ('tenants = ["acme"]', f"tenants = {['a'] * 10_001}", "tenants: "),
        ('tenants = ["acme"]', f'tenants = ["acme"]\nalso_known_as = {list("a" * 51)}', "also_known_as: "),
        ('tenants = ["acme"]', f'tenants = ["acme"]\nalso_known_as = ["{"a" * 255}"]', "also_known_as.0: "),
        ("approvals_min = 0", "approvals_min = -1", "floors.approvals_min: "),
        ("approvals_min = 0", 'approvals_min = "1"', "floors.approvals_min: "),
        ("allowed_signers = ", "allowed = ", "allowed: unknown field"),
        ('"compliance_officer"', '"Compliance Officer"', "has the wrong form"),
        ('tenants = ["acme"]', "tenants = []", "tenants: "),
        ('tenants = ["acme"]', 'tenants = ["acme", "*x"]', "tenants.1: has the wrong form"),
        ("[floors]", '[floors]\nallowed_signers_file = "x"', "allowed_signers_file: unknown field"),
    ],
)
def test_wrong_or_unknown_field_is_refused_by_name(old: str, new: str, problem: str) -> None:
    """The field and the rule are told."""
    text = trust_text()
    assert old in text
    assert problem in _problems(text.replace(old, new))


def test_more_persons_than_a_deployment_has_are_refused() -> None:
    """The file stays of a size that is read anew for every decision."""
    tables = "".join(f'[persons."p{number}"]\nroles = []\ntenants = ["acme"]\n' for number in range(10_001))
    assert "persons: " in _problems(trust_text() + tables)


def test_lists_as_long_as_allowed_are_read() -> None:
    """The limits are the last values that are taken."""
    text = trust_text(person(LEE, tenants=("a",) * 9_999 + ("acme",)), floors=20)
    text = text.replace("[floors]", f"[attest]\npublic_keys = {_keys(16)}\n[floors]")
    assert len(parse_trust(text).attest_keys) == 16


def test_file_without_any_signers_is_refused() -> None:
    """Signers stand inside or in a named file, and not in both."""
    lines = trust_text().splitlines()
    kept = [line for line in lines if "ssh-ed25519" not in line and '"""' not in line]
    assert "give either allowed_signers or allowed_signers_file" in _problems("\n".join(kept))
    both = trust_text().replace("[floors]", "", 1).replace("approvals_min = 0", 'allowed_signers_file = "x"')
    assert "give either allowed_signers or allowed_signers_file" in _problems(both)


def test_key_named_twice_in_toml_is_refused() -> None:
    """A person cannot stand twice in the file."""
    text = trust_text() + PERSONS[LEE].table()
    assert _problems(text).startswith("The trust file is not valid TOML")


def test_person_without_a_key_is_refused() -> None:
    """Whoever has no key can decide nothing and is a mistake."""
    lines = "\n".join(each.lines() for signer, each in PERSONS.items() if signer is not KIM)
    assert "persons.kim@acme.example: has no key" in _problems(trust_text(lines=lines))


@pytest.mark.parametrize(
    ("extra", "problem"),
    [
        (f'also_known_as = ["{OPS.name.upper()}"]', "the same name stands for two persons"),
        ('also_known_as = ["kim+x@acme.example"]', "the same name stands for two persons"),
        ('also_known_as = ["l\u0435e@acme.example"]', "names must be plain ASCII"),
        ('also_known_as = ["\uff4cee@acme.example"]', "names must be plain ASCII"),
        ('also_known_as = [""]', "also_known_as.0: "),
        ('also_known_as = ["."]', "names must be plain ASCII"),
        ('also_known_as = [" "]', "names must be plain ASCII"),
    ],
)
def test_name_that_means_two_persons_is_refused(extra: str, problem: str) -> None:
    """Nobody may be countable under two entries, nor two persons under one name."""
    assert problem in _problems(trust_text(person(LEE, extra=extra)))


def test_two_entries_for_one_person_in_other_case_are_refused() -> None:
    """A second entry in capitals would make two persons of one."""
    double = Person(signer=Signer(name="LEE@acme.example"), roles=("wallet_officer",))
    assert "the same name stands for two persons" in _problems(trust_text(double))


def test_digest_pins_the_file_and_its_signers(tmp_path: Path) -> None:
    """Any change of either file changes the digest."""
    text = trust_text(lines="").replace('allowed_signers = """\n\n"""', 'allowed_signers_file = "signers"')
    lines = "\n".join(each.lines() for each in PERSONS.values())
    digests = set()
    for toml, signers in ((text, lines), (text + "\n", lines), (text, lines + "\n# note")):
        (tmp_path / "trust.toml").write_text(toml, encoding="utf-8")
        (tmp_path / "signers").write_text(signers, encoding="utf-8")
        digests.add(load_trust(tmp_path / "trust.toml").digest)
    assert len(digests) == 3


def test_trust_file_with_its_signers_inside_is_loaded(tmp_path: Path) -> None:
    """One file is enough."""
    (tmp_path / "trust.toml").write_text(trust_text(), encoding="utf-8")
    assert load_trust(tmp_path / "trust.toml") == parse_trust(trust_text())


@pytest.mark.parametrize("place", ["/etc/passwd", "../signers", "a/../../signers"])
def test_signers_file_elsewhere_is_refused(place: str, tmp_path: Path) -> None:
    """The signers lie beside the trust file and nowhere else."""
    text = trust_text(lines="").replace('allowed_signers = """\n\n"""', f'allowed_signers_file = "{place}"')
    (tmp_path / "trust.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InvalidRequestError, match="must lie beside"):
        load_trust(tmp_path / "trust.toml")


def test_missing_files_are_refused_without_their_paths(tmp_path: Path) -> None:
    """A file that is not there is told by its part, not by its place."""
    with pytest.raises(InvalidRequestError) as caught:
        load_trust(tmp_path / "trust.toml")
    assert caught.value.message == "The trust file cannot be read"
    text = trust_text(lines="").replace('allowed_signers = """\n\n"""', 'allowed_signers_file = "none"')
    (tmp_path / "trust.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InvalidRequestError) as caught:
        load_trust(tmp_path / "trust.toml")
    assert caught.value.message == "The allowed_signers_file cannot be read"


def test_signers_named_in_another_file_need_loading() -> None:
    """A text alone cannot give what stands in a second file."""
    text = trust_text(lines="").replace('allowed_signers = """\n\n"""', 'allowed_signers_file = "x"')
    assert "allowed_signers: missing" in _problems(text)


@given(st.text(st.characters(codec="utf-8")))
def test_any_signers_text_is_read_or_refused_in_our_words(line: str) -> None:
    """No line makes the reader fail in another way."""
    quoted = line.replace("\\", "").replace('"', "").replace("\r", "")
    try:
        parse_trust(_with_line(quoted))
    except InvalidRequestError as error:
        assert error.message.startswith("The trust file")  # noqa: PT017 - either outcome is right here


@pytest.mark.parametrize("end", ["\x0b", "\x0c", "\x1c", "\x1e", "\x85", "\u2028", "\u2029", "\r"])
def test_a_key_within_a_comment_is_no_key(end: str) -> None:
    """A line ends where OpenSSH ends it: nobody hides a key of their own in what others read as a remark."""
    hidden = f"# kept for the record{end}{STRANGER.line()}\n"
    lines, problems = parse_allowed_signers(f"{hidden}{LEE.line()}\n")
    assert ([line.key.public_key for line in lines], problems) == ([LEE.public_key], [])
    assert [name for name, _ in second._signer_lines(f"{hidden}{LEE.line()}\n")] == [LEE.name]


@pytest.mark.parametrize("mark", ["\x00", "\x0b", "\x1b[2K", "\x7f", "\r \x08", "\u202e"])
def test_a_line_with_control_characters_is_refused(mark: str) -> None:
    """What a terminal would not show has no place in a file that people review; both verifiers say so."""
    line = f"{LEE.line()} {mark}remark"
    assert parse_allowed_signers(line)[0] == []
    with pytest.raises(ValueError, match="no line"):
        second._signer_lines(line)
