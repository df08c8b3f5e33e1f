"""What is inside the key service: the transit keys, one policy and one token per worker role."""

import base64
from dataclasses import dataclass
from pathlib import Path

from infra.devstack.errors import StackError
from infra.devstack.http import Answer, call
from infra.devstack.state import StateFolder

MOUNT = "transit"
TRANSIT_KEYS: dict[str, dict[str, object]] = {
    "seed": {"type": "aes256-gcm96", "derived": True},
    "pii": {"type": "aes256-gcm96", "derived": True},
    "attest": {"type": "ed25519"},
}
POLICIES = Path(__file__).parent / "policies"
WORKERS = ("provisioning", "custody")
TOKEN_PERIOD = "768h"  # noqa: S105 - a time, renewed by every start of the stack


@dataclass(frozen=True, slots=True)
class _Api:
    address: str
    token: str

    def ask(self, method: str, path: str, body: dict[str, object] | None = None) -> Answer:
        """Gives the answer; a missing thing (404) and a refused token (403) are answers too."""
        answer = call(method, f"{self.address}/v1/{path}", body=body, token=self.token)
        if answer is None:
            raise StackError(f"OpenBao stopped answering at {self.address}: look at its log")
        return answer

    def must(self, method: str, path: str, body: dict[str, object] | None = None) -> Answer:
        """Gives the answer of a call that has to succeed."""
        answer = self.ask(method, path, body)
        if not answer.ok:
            raise StackError(
                f"OpenBao at {self.address} answered {answer.status} to {method} {path}: the token"
                " used (VAULT_TOKEN, when it runs elsewhere) must be allowed to set it up"
            )
        return answer


def prepare(address: str, token: str, folder: StateFolder) -> str:
    """Makes what is missing; gives the public attestation keys, one hex Ed25519 key per line and version."""
    api = _Api(address, token)
    if f"{MOUNT}/" not in api.must("GET", "sys/mounts").body:
        api.must("POST", f"sys/mounts/{MOUNT}", {"type": "transit"})
    for name, shape in TRANSIT_KEYS.items():
        if not api.ask("GET", f"{MOUNT}/keys/{name}").ok:
            api.must("POST", f"{MOUNT}/keys/{name}", dict(shape))
    for worker in WORKERS:
        policy = (POLICIES / f"{worker}.hcl").read_text()
        api.must("PUT", f"sys/policies/acl/walletworks-{worker}", {"policy": policy})
        _keep_token(api, worker, folder)
    return _public_keys(api)


def _keep_token(api: _Api, worker: str, folder: StateFolder) -> None:
    """Renews the worker's token, or makes one when there is none that works."""
    path = folder.secret_path(worker, "vault_token")
    if path.exists():
        own = _Api(api.address, path.read_text())
        if own.ask("POST", "auth/token/renew-self", {"increment": TOKEN_PERIOD}).ok:
            return
    wanted: dict[str, object] = {
        "policies": [f"walletworks-{worker}"],
        "no_default_policy": True,
        "no_parent": True,
        "renewable": True,
        "period": TOKEN_PERIOD,
        "display_name": worker,
    }
    auth = api.must("POST", "auth/token/create", wanted).body["auth"]
    if isinstance(auth, dict):
        folder.write(f"secrets/{worker}/vault_token", str(auth["client_token"]))


def _public_keys(api: _Api) -> str:
    data = api.must("GET", f"{MOUNT}/keys/attest").body["data"]
    versions = data["keys"] if isinstance(data, dict) else {}
    ordered = sorted(versions.items(), key=lambda item: int(item[0]))
    return "".join(base64.b64decode(key["public_key"]).hex() + "\n" for _, key in ordered)
