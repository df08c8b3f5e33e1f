"""The unprivileged account that servers which refuse root run as."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

CANDIDATES = ("postgres", "nobody", "daemon")


class PopenArguments(TypedDict, total=False):
    """What subprocess takes to give up root."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A system account with no privileges."""

    name: str
    uid: int
    gid: int

    def popen_arguments(self) -> PopenArguments:
        """Gives the arguments that make a child process run as this account."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can_reach(self, folder: Path) -> bool:
        """Tells whether this account can pass into the folder, by trying."""
        nearest = next(path for path in (folder, *folder.parents) if path.exists())
        done = subprocess.run(
            ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(nearest)],
            cwd="/",
            capture_output=True,
            check=False,
            **self.popen_arguments(),
        )
        return done.returncode == 0


def unprivileged_account() -> Account | None:
    """Gives the account to drop to, or None when we are an ordinary user and need none."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = next(known[name] for name in CANDIDATES if name in known)
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)
