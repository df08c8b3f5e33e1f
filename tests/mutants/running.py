"""Runs tests against one mutant at a time, each in a fork of this process that imports the altered module.

Servers are started once and lent to every fork. The working tree is never written.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import io
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Final

import pytest

from tests.mutants.mutations import Mutant, compiled
from tests.mutants.targets import Target

SECONDS_MAX: Final = 60
"""Seconds for one test: a mutant that makes it take longer is noticed."""

_PASSED, _BROKEN = 0, 99


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One mutant with the tests it is tried against."""

    target: Target
    mutant: Mutant
    tests: tuple[str, ...]


class _Altered(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from altered code; every other one as it is."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial

    def find_spec(self, fullname: str, _path: object = None, _target: object = None) -> Any:
        """Takes only the module that is tried."""
        if fullname != self._trial.target.module:
            return None
        return importlib.util.spec_from_file_location(fullname, self._trial.target.path, loader=self)

    def exec_module(self, module: ModuleType) -> None:
        """Runs the altered code."""
        path = self._trial.target.path
        code = compiled(self._trial.mutant, self._trial.target.source, path=str(path))
        exec(code, module.__dict__)  # noqa: S102 - the altered module is what is tried


@dataclass(kw_only=True)
class Lent:
    """Running servers, and the migrated database that others are copied from."""

    state_dir: Path
    template: str

    def pytest_collection_finish(self) -> None:
        """Gives a fork's session these servers in place of its own."""
        from tests import conftest as top  # noqa: PLC0415 - only a fork may import what is tried

        borrowed = _borrowed(self.state_dir)
        top.__dict__.update(Stack=borrowed, new_state_dir=lambda: self.state_dir, _sweep=lambda: None)
        lower = sys.modules.get("tests.integration.conftest")
        if lower is not None:
            lower.__dict__["new_template"] = self._template

    @contextmanager
    def _template(self, _cluster: object) -> Iterator[str]:
        yield self.template


def _borrowed(state_dir: Path) -> type:
    from infra.devstack import Stack  # noqa: PLC0415 - see above

    class Borrowed(Stack):
        """A stack that is not ours to start or end."""

        def __init__(self, _own: object = None) -> None:
            super().__init__(state_dir)

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def wipe(self) -> None:
            """Leaves everything."""

    return Borrowed


@dataclass(kw_only=True)
class Runner:
    """Keeps so many forks going at once; gives each trial's verdict as it comes."""

    jobs: int
    lent: Lent | None = None
    _running: dict[int, Trial] = field(default_factory=dict)

    def run(self, trials: Iterable[Trial]) -> Iterator[tuple[Trial, bool]]:
        """Gives for each trial whether a test noticed.

        Raises: RuntimeError when the tests fail for a reason that is not the mutant's.
        """
        for trial in trials:
            while len(self._running) >= self.jobs:
                yield self._reap()
            self._running[self._fork(trial)] = trial
        while self._running:
            yield self._reap()

    def _reap(self) -> tuple[Trial, bool]:
        pid, status = os.wait()
        trial, code = self._running.pop(pid), os.waitstatus_to_exitcode(status)
        if code == _BROKEN:
            raise RuntimeError(f"this mutant could not be tried: {trial.mutant.name}")
        return trial, code != _PASSED

    def _fork(self, trial: Trial) -> int:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid:
            return pid
        code = _BROKEN
        try:
            code = _try(trial.tests, trial, self.lent)
        finally:
            os._exit(code)


def _try(tests: Sequence[str], trial: Trial | None, lent: Lent | None) -> int:
    """Runs the tests in this very process, which ends after them."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    if trial is not None and not transplanted(trial):
        for name in [name for name in sys.modules if _is_ours(name)]:
            del sys.modules[name]
        sys.meta_path.insert(0, _Altered(trial))
    arguments = ["-q", "-x", "--no-header", "-p", "no:cacheprovider", f"--timeout={SECONDS_MAX}", *tests]
    return int(pytest.main(arguments, plugins=[lent] if lent else []))


def imported(tests: Iterable[str]) -> None:
    """Imports these tests with all they need, once for every fork."""
    with redirect_stdout(io.StringIO()):
        pytest.main(["-q", "--collect-only", "-p", "no:cacheprovider", *tests])


def transplanted(trial: Trial) -> bool:
    """Puts the altered code into the functions that are imported already.

    False where that is not enough: what stands in a class or at the module's top has been used by then.
    """
    module = sys.modules.get(trial.target.module)
    path = trial.target.path
    code = compiled(trial.mutant, trial.target.source, path=str(path))
    if module is None or not trial.mutant.in_function:
        return False
    altered = ModuleType(module.__name__)
    altered.__dict__.update({"__file__": str(path), "__name__": module.__name__})
    sys.modules[module.__name__] = altered  # dataclasses look their own module up while they are made
    try:
        exec(code, altered.__dict__)  # noqa: S102 - the altered module is what is tried
    finally:
        sys.modules[module.__name__] = module
    ours, theirs = dict(_functions(module, module.__name__)), dict(_functions(altered, module.__name__))
    for name, function in ours.items():
        function.__code__ = theirs[name].__code__
    return True


def _functions(place: Any, module: str) -> Iterator[tuple[str, FunctionType]]:
    """Every function and method that a module defines, under what wraps it."""
    for value in list(vars(place).values()):
        inner = getattr(value, "fget", None) or getattr(value, "__func__", None) or value
        inner = inspect.unwrap(inner) if callable(inner) else inner
        if isinstance(inner, FunctionType) and inner.__module__ == module:
            if inner.__code__.co_filename.endswith(".py"):
                yield inner.__qualname__, inner
        elif isinstance(inner, type) and inner.__module__ == module:
            yield from _functions(inner, module)


def _is_ours(name: str) -> bool:
    """What the lending process imported of ours must be imported anew, or nothing would be altered."""
    package, _, rest = name.partition(".")
    return package in {"activities", "workflows", "workers", "infra"} or (
        package == "tests" and bool(rest) and not rest.startswith("mutants")
    )


def passes_unaltered(tests: Sequence[str], lent: Lent | None) -> bool:
    """Whether the tests pass when nothing is taken out: without that, a failure would mean nothing."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = _BROKEN
        try:
            code = _try(tests, None, lent)
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == _PASSED


@contextmanager
def lent_servers() -> Iterator[Lent]:
    """Starts the servers, and ends them after the block."""
    from infra.devstack import Stack  # noqa: PLC0415 - a unit run needs no server
    from tests.conftest import new_state_dir  # noqa: PLC0415 - see above
    from tests.integration.store_fixtures import cluster_of, new_template  # noqa: PLC0415 - see above

    running = Stack(new_state_dir())
    try:
        with running:
            cluster = cluster_of(running.postgres.admin_url(), running.state_dir)
            with new_template(cluster) as template:
                yield Lent(state_dir=running.state_dir, template=template)
    finally:
        running.wipe()
