"""Signs with the key a person already has, by OpenSSH's own `ssh-keygen -Y sign`: agent and FIDO included."""

import subprocess
from pathlib import Path

from workers.cli.exits import CommandError, Exit


def sign(text: str, *, key: Path, namespace: str) -> str:
    """Gives the armoured SSHSIG over the exact text; `key` is a private key, or a public one in the agent.

    Raises: CommandError when ssh-keygen cannot sign.
    """
    try:
        done = subprocess.run(
            ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", str(key.expanduser())],
            input=text.encode(),
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise CommandError("ssh-keygen is needed to sign and was not found", Exit.WRONG_USE) from error
    if done.returncode != 0:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"])[-1]
        raise CommandError(f"ssh-keygen could not sign with {key}: {last}", Exit.WRONG_USE)
    return done.stdout.decode()
