"""The second path: agrees with the published values, shares nothing with the fast path, tells nothing."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from activities.custody import second_path
from activities.custody.pure_check import PureBranch
from activities.custody.scope import SealScope
from activities.custody.sealing import SealedSeed
from activities.custody.second_path_run import MODULE, KeyServiceAddress, SecondPathJob, run_second_path
from activities.failures import (
    AccessDeniedError,
    IntegrityError,
    SealingIncompleteError,
    ServiceUnavailableError,
)
from activities.keys.evm_derivation import derive_addresses
from activities.keys.mnemonic import seed_from_entropy
from tests.unit.keys.second_library import ABANDON_SEED
from tests.vectors import load_vectors

CANARY = "5eb00bbddcf069084889a8ab9155568165f5c453ccb85e70811aaed6f6da5fc1"


def _published() -> list[str]:
    vectors: Any = load_vectors("bip44-coins/bip_utils-bip44.json")
    (ethereum,) = [case for case in vectors if case["coin"] == "Bip44Coins.ETHEREUM"]
    return list(ethereum["addresses"])


def test_the_second_path_gives_the_published_addresses() -> None:
    """Second library and pure-Python curve each give the published addresses of the test mnemonic."""
    published = _published()
    again = second_path.rederive(ABANDON_SEED, family="evm", account=0, indexes=range(5))
    assert list(again) == list(enumerate(published))
    pure = PureBranch(ABANDON_SEED, account=0)
    assert [pure.address(index) for index in range(5)] == published


def test_all_three_paths_agree_from_entropy_on() -> None:
    """Entropy to address, each by its own code, is the same for a high account and scattered indexes."""
    entropy, indexes = bytes(range(32)), [0, 1, 77, 2**31 - 1]
    seed = second_path.seed_again(entropy)
    assert seed == seed_from_entropy(entropy)
    account = 2**31 - 1
    expected = derive_addresses(seed, account, indexes)
    again = second_path.rederive(seed, family="evm", account=account, indexes=indexes)
    assert [address for _, address in again] == expected
    pure = PureBranch(seed, account=account)
    assert [pure.address(index) for index in indexes] == expected


def test_a_fresh_process_of_the_second_path_holds_nothing_of_the_fast_one() -> None:
    """Of our modules it loads only its own; the fast path's hash, checksum and client stay out."""
    script = "import json, sys; import activities.custody.second_path; print(json.dumps(sorted(sys.modules)))"
    root = str(Path(second_path.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-P", "-c", script],
        env={"PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = json.loads(done.stdout)
    ours = [name for name in loaded if name.split(".")[0] in ("activities", "workers", "workflows", "infra")]
    own = ["hardening", "pure_check", "scope", "second_opener", "second_path"]
    assert ours == ["activities", "activities.custody", *(f"activities.custody.{name}" for name in own)]
    assert not {"tiny_keccak", "cchecksum", "hvac", "temporalio", "cryptography"} & set(loaded)


@pytest.mark.parametrize(
    "job",
    ["", "\n", CANARY, "[]", "{}", json.dumps({"count": 1, "scope": CANARY}) + "\n0 0x0\n", "{}\n" + CANARY],
)
def test_a_job_that_is_none_gets_one_word(job: str) -> None:
    """Whatever breaks, the answer is one fixed word that repeats nothing of the job."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "activities.custody.second_path"],
        input=job,
        env={"PYTHONPATH": str(Path(second_path.__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == {"v": 1, "error": "incomplete"}
    assert done.stderr == ""


def test_a_cut_off_job_is_incomplete_not_short() -> None:
    """A job that ends before its announced count is no success over fewer wallets."""
    with pytest.raises(ValueError, match=r"^$"):
        second_path.compare({"family": "evm", "count": 2}, ["0 0xA\n"])


def _job(tmp_path: Path, **service: Any) -> SecondPathJob:
    token_file = tmp_path / "token"
    token_file.write_text("not-a-token", encoding="ascii")
    return SecondPathJob(
        key_service=KeyServiceAddress(
            **{"address": "http://127.0.0.1:9", "token_file": token_file, **service}
        ),
        sealed=SealedSeed(ciphertext=bytes(48), nonce=bytes(12), wrapped_key="w", provider="transit"),
        scope=SealScope(tenant="acme", keyring_id="k-1", purpose="wallets"),
        family="evm",
        account=0,
        count=1,
        expected=[(0, "0xA")],
    )


def test_a_key_service_out_of_reach_can_be_waited_for(tmp_path: Path) -> None:
    """A refused connection in the process becomes the error that retries."""
    with pytest.raises(ServiceUnavailableError):
        run_second_path(_job(tmp_path))


def test_a_missing_token_file_is_no_access(tmp_path: Path) -> None:
    """A token that cannot be read is a refusal, not an outage."""
    with pytest.raises(AccessDeniedError):
        run_second_path(_job(tmp_path, token_file=tmp_path / "absent"))


def test_a_job_of_another_count_is_incomplete(tmp_path: Path) -> None:
    """A range that names more wallets than it lists is no success over fewer."""
    with pytest.raises(SealingIncompleteError):
        run_second_path(replace(_job(tmp_path), count=2))


def test_a_seed_of_another_provider_is_refused(tmp_path: Path) -> None:
    """A key service the process does not know gives a refusal that pages a person."""
    with pytest.raises(IntegrityError):
        run_second_path(_job(tmp_path, provider="elsewhere"))


def test_a_family_without_a_second_path_is_incomplete(tmp_path: Path) -> None:
    """Chains nobody wrote a second path for are never reported as checked."""
    with pytest.raises(SealingIncompleteError):
        run_second_path(replace(_job(tmp_path), family="unknown"))


def test_a_killed_process_is_incomplete(tmp_path: Path) -> None:
    """A second path that dies before it answers is no success; asking again is harmless."""

    def killing() -> Iterator[tuple[int, str]]:
        started = [child for child in psutil.Process().children() if MODULE in child.cmdline()]
        assert len(started) == 1
        started[0].kill()
        yield 0, "0xA"

    with pytest.raises(SealingIncompleteError):
        run_second_path(replace(_job(tmp_path), expected=killing()))


def _shown(process: psutil.Process) -> str:
    """What other processes may read of one: a hardened process's environment is closed to its own user."""
    with suppress(psutil.AccessDenied):
        return f"{process.cmdline()} {process.environ()}"
    return str(process.cmdline())


def test_a_process_names_no_secret_in_arguments_or_environment(tmp_path: Path) -> None:
    """While it runs, neither its command line nor its environment holds the token or the sealed seed."""
    seen: list[str] = []

    def looking() -> Iterator[tuple[int, str]]:
        seen.extend(_shown(child) for child in psutil.Process().children() if MODULE in child.cmdline())
        yield 0, "0xA"

    with pytest.raises(ServiceUnavailableError):
        run_second_path(replace(_job(tmp_path), expected=looking()))
    assert len(seen) == 1
    for secret in ("not-a-token", "00" * 48, "127.0.0.1"):
        assert secret not in seen[0]
