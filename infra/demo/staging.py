"""Sets the stage in a running stack: people with keys, trust files, and lists of today."""

import base64
import hashlib
import json
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from infra.demo import cast
from infra.devstack.stack import Stack

LISTS = Path(__file__).parent / "lists"

_UN_DATE = re.compile(r'dateGenerated="\d{4}-\d{2}-\d{2}')


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where everything of the demo lies."""

    folder: Path
    auditor_trust: Path

    def key(self, member: cast.Member) -> Path:
        """Gives a member's private key."""
        return cast.key_of(member, self.folder / "keys")


def set_stage(stack: Stack) -> Stage:
    """Lays out keys, trust files and lists; keys of an earlier demo are kept, lists get today's date."""
    folder = stack.state_dir / "demo"
    folder.mkdir(exist_ok=True, mode=0o700)
    attest_keys = (stack.state_dir / "attest.pub").read_text().split()
    text = cast.trust_text(
        cast.CAST,
        keys=folder / "keys",
        deployment=stack.deployment,
        attest_keys=[base64.b64encode(bytes.fromhex(key)).decode() for key in attest_keys],
    )
    auditor_trust = folder / "auditor-trust.toml"
    provisioning, custody = stack.state_dir / "trust/trust.toml", stack.state_dir / "custody/trust.toml"
    for place in (provisioning, custody, auditor_trust):
        place.write_text(text)
    lay_out_lists(stack.state_dir / "lists")
    return Stage(folder=folder, auditor_trust=auditor_trust)


def lay_out_lists(target: Path) -> None:
    """Copies the demo's lists with today's date, as if the authorities had published them this morning."""
    shutil.copytree(LISTS, target, dirs_exist_ok=True)
    target.chmod(0o700)  # copied with the files is the mode of the folder they came from
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    for xml in target.glob("*/*.xml"):
        xml.write_text(_UN_DATE.sub(f'dateGenerated="{today}', xml.read_text()))
    for provenance in target.glob("*/provenance.json"):
        stated = json.loads(provenance.read_text())
        stated["published_on"] = today
        for name in stated["sha256"]:
            content = provenance.with_name(name).read_bytes()
            stated["sha256"][name] = hashlib.sha256(content).hexdigest()
        provenance.write_text(json.dumps(stated, indent=2) + "\n")
