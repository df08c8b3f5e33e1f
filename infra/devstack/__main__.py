"""`python -m infra.devstack up|workers|down|status|env`: the stack from the command line."""

import argparse
import shlex
import sys
import sysconfig
import time

from rich.console import Console

from infra.devstack.errors import StackError
from infra.devstack.part import PartStatus
from infra.devstack.stack import STATE_VARIABLE, Stack
from infra.devstack.workers import WorkerStatus

UNREACHABLE = 3


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; gives the exit code (0 done, 2 wrong use, 3 a part cannot be reached)."""
    options = _parser().parse_args(arguments)
    commands = {"up": _up, "workers": _workers, "down": _down, "status": _status, "env": _env}
    try:
        return commands[options.command](Stack(options.state), options)
    except StackError as error:
        _print(f"error: {error}", to_errors=True)
        if error.log_end:
            _print(error.log_end, to_errors=True)
        return UNREACHABLE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.devstack", description=__doc__)
    parser.add_argument("command", choices=("up", "workers", "down", "status", "env"))
    parser.add_argument(
        "--state",
        metavar="DIR",
        help=f"state folder (default: {STATE_VARIABLE}, else .walletworks)",
    )
    parser.add_argument("--wipe", action="store_true", help="down: remove data and keys too")
    return parser


def _up(stack: Stack, _: argparse.Namespace) -> int:
    began = time.monotonic()
    _print(f"Starting Temporal, PostgreSQL, OpenBao and two workers; state in {stack.state_dir}")
    started = stack.start()
    for status in stack.status():
        _print(f"{_line(status)}  ({_note(started[status.name])})")
    _workers(stack, _)
    if stack.temporal.ui:
        _print(f"Web UI              {stack.temporal.ui}")
    _print(f"settings            {stack.settings_path}")
    _print(f'shell               eval "$({sys.executable} -m infra.devstack env --state {stack.state_dir})"')
    _print(f"Ready after {time.monotonic() - began:.1f} s.")
    return 0


def _workers(stack: Stack, _: argparse.Namespace) -> int:
    started = stack.start_workers()
    for worker in stack.workers:
        _print(f"{_worker_line(worker.status())}  ({_note(started[worker.name])})")
    return 0


def _down(stack: Stack, options: argparse.Namespace) -> int:
    if options.wipe:
        stack.wipe()
        _print(f"Stopped; {stack.state_dir} is removed.")
    else:
        stack.stop()
        _print(f"Stopped; the data stays in {stack.state_dir}.")
    return 0


def _status(stack: Stack, _: argparse.Namespace) -> int:
    statuses = stack.status()
    for status in statuses:
        _print(_line(status))
        if status.log_end:
            _print(f"the end of {status.log}:\n{status.log_end}")
    workers = [worker.status() for worker in stack.workers]
    for found in workers:
        _print(_worker_line(found))
        if found.log_end:
            _print(f"the end of {found.log}:\n{found.log_end}")
    if all(status.healthy for status in statuses) and all(each.state == "polling" for each in workers):
        return 0
    _print("Not all parts run: make up starts them.", to_errors=True)
    return UNREACHABLE


def _env(stack: Stack, _: argparse.Namespace) -> int:
    for name, value in stack.environment().items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
    sys.stdout.write(f"export PATH={shlex.quote(sysconfig.get_path('scripts'))}:$PATH\n")
    return 0


def _line(status: PartStatus) -> str:
    pid = f"  pid {status.pid}" if status.pid else ""
    log = f"  log {status.log}" if status.log else ""
    return f"{status.name:<19} {status.state:<9} {status.address}{pid}{log}"


def _worker_line(status: WorkerStatus) -> str:
    pid = f"  pid {status.pid}" if status.pid else ""
    live = f"http://127.0.0.1:{status.port}/live"
    return f"{status.name:<19} {status.state:<9} {live}{pid}  log {status.log}"


def _note(started: bool) -> str:
    return "started" if started else "already there"


def _print(text: str, *, to_errors: bool = False) -> None:
    console = Console(stderr=to_errors, highlight=False, markup=False, soft_wrap=True)
    console.print(text)


if __name__ == "__main__":
    raise SystemExit(main())
