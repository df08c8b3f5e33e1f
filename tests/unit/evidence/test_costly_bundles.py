"""Bundles made to cost time or memory without end: both verifiers refuse them at once."""

import time
import tracemalloc
from pathlib import Path

import pytest

from activities.evidence import layout, reader
from activities.evidence.report import CheckFailedError
from activities.evidence.verify import verify_bundle
from activities.failures import InvalidRequestError
from activities.trust.trust_file import parse_trust
from infra.auditor import verify_bundle as second
from tests.integration.forgeries import failures
from tests.integration.resealing import Dossier, forged

MIB = 2**20


def verdicts(made: Dossier, path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The failed checks of both, each with its sentence."""
    other = second.verify(path, second.read_trust(made.office.trust_path))
    failed = {name: sentence for name, status, sentence in other.checks if status == "failed"}
    return failures(verify_bundle(path, made.office.trust)), failed


@pytest.mark.usefixtures("one_proof")
def test_a_total_that_somebody_made_up_costs_nothing(whole: Dossier, tmp_path: Path) -> None:
    """Nothing is made that is as long as a stated number: there are as many slices as there are."""
    path = forged(whole, tmp_path / "forged.zip", lambda made: made.plan.update(subject_count=10**8))
    tracemalloc.start()
    try:
        first, other = verdicts(whole, path)
        assert tracemalloc.get_traced_memory()[1] < 10 * MIB
    finally:
        tracemalloc.stop()
    assert first["plan"] == "the intake slices do not cover the subjects"
    assert first["evidence"] == "the screening slices do not cover the subjects"
    assert other["plan"] == "the intake slices are not the plan's subjects"
    assert other["evidence"] == "the screening slices are not the plan's subjects"


@pytest.mark.usefixtures("one_proof")
def test_a_policy_with_an_endless_key_is_refused_at_once(whole: Dossier, tmp_path: Path) -> None:
    """A TOML library takes minutes to read a key of thousands of parts."""
    endless = ".".join(["a"] * 32_000) + " = 1\n"
    path = forged(whole, tmp_path / "forged.zip", lambda made: made.parts.update({layout.POLICY: endless}))
    began = time.monotonic()
    first, other = verdicts(whole, path)
    assert time.monotonic() - began < 5
    assert first["policy"] == "the policy is not valid"
    assert other["policy"] == "this part cannot be read"


def test_a_trust_file_with_an_endless_key_is_refused(tmp_path: Path) -> None:
    """The same in the file that the auditor was sent to pin."""
    endless = "# " + "." * 500 + "\n" + "a." * 200 + "a = 1\n"
    with pytest.raises(InvalidRequestError) as refused:
        parse_trust(endless)
    assert refused.value.message == "The trust file is not valid TOML: line 2: too many dots"
    (tmp_path / "trust.toml").write_text(endless)
    with pytest.raises(second.TrustError):
        second.read_trust(tmp_path / "trust.toml")
    assert second.toml("# " + "." * 500) == {}


@pytest.mark.usefixtures("one_proof")
def test_a_policy_of_no_policys_size_is_refused(whole: Dossier, tmp_path: Path) -> None:
    """As the folder of policies would refuse it."""
    long = whole.parts[layout.POLICY] + "# long\n" * 10_000
    path = forged(whole, tmp_path / "forged.zip", lambda made: made.parts.update({layout.POLICY: long}))
    first, other = verdicts(whole, path)
    assert first == {"members": "policy.toml is larger than allowed"}
    assert other == {"members": "policy.toml is too large"}


def test_members_that_are_held_in_memory_are_smaller_than_those_that_pass(
    whole: Dossier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of some megabytes could otherwise take gigabytes; wallets and histories may be any length."""
    path = forged(whole, tmp_path / "whole.zip", lambda _: None)
    for most, kept in ((100_000, True), (3_000, False)):
        monkeypatch.setattr(reader, "KEPT_BYTES_MAX", most)
        monkeypatch.setattr(second, "KEPT_MAX", most)
        first, other = verdicts(whole, path)
        assert (not first, not other) == (kept, kept)
    assert first == {"container": f"{layout.APPROVALS} is larger than allowed"}
    with reader.BundleReader(path) as opened, pytest.raises(CheckFailedError, match="larger than allowed"):
        opened.require_layout()
    names = (layout.WALLETS, layout.HISTORIES, layout.RESTRICTED)
    assert set(names) == layout.STREAMED == second.STREAMED
