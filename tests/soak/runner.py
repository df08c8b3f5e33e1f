"""Runs forms as processes and keeps every exit code."""

import os
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from infra.demo.staging import Stage
from infra.devstack import Stack
from tests.soak.forms import Form

SECONDS_MAX: Final = 120.0

_PROGRAM: Final = Path(sys.executable).with_name("walletworks")


@dataclass(kw_only=True)
class Runner:
    """`codes` counts by form how often each exit code came; `surprises` tells what came with a wrong one."""

    stack: Stack
    stage: Stage
    folder: Path
    codes: dict[tuple[str, int], Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    surprises: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, form: Form) -> str:
        """Runs one form to its end and notes its code; gives what it printed."""
        done = subprocess.run(
            [str(_PROGRAM), *form.arguments],
            cwd=self.folder,
            env=os.environ | self._variables(form),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS_MAX,
        )
        with self._lock:
            self.codes[form.name, form.code][done.returncode] += 1
            if done.returncode != form.code:
                said = (done.stderr or done.stdout).strip()[-300:]
                self.surprises.append(f"{form.name}: {done.returncode} instead of {form.code}: {said}")
        return done.stdout

    def _variables(self, form: Form) -> Mapping[str, str]:
        own = {"WALLETWORKS_AS": form.member.name, "WALLETWORKS_KEY": str(self.stage.key(form.member))}
        away = {"TEMPORAL_ADDRESS": form.address} if form.address else {}
        return self.stack.environment() | own | {"COLUMNS": "100"} | away
