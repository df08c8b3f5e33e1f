"""Functions and files that a reader can hold in mind."""

from tests.house.sources import ROOMS, Function, in_rooms, sources

FUNCTION_LINES_MAX = 50
FILE_LINES_MAX = 400
ONE_FILE_BY_DESIGN = {"infra/auditor/verify_bundle.py"}
"""An auditor reads it, takes it along and runs it alone: that it is one file is the point."""
TEST_FILE_LINES_MAX = 500
"""A file of tests is a list: it may be longer."""
POSITIONAL_MAX = 5
"""More than three are keyword only by habit; more than five nobody can keep apart."""

COMMANDS = "workers/cli/"
"""A command has one parameter per option, which its library fills by name."""


def test_functions_are_short() -> None:
    """Fifty lines at most, in tests too."""
    long = [
        f"{source.name}:{function.lineno} {function.name}"
        for source in sources()
        for function in source.functions()
        if (function.end_lineno or 0) - function.lineno >= FUNCTION_LINES_MAX
    ]
    assert long == []


def test_files_are_short() -> None:
    """Four hundred lines at most."""
    long = [
        f"{source.name}: {len(source.lines)}"
        for source in sources()
        if len(source.lines) > (FILE_LINES_MAX if source.room in ROOMS else TEST_FILE_LINES_MAX)
        and source.name not in ONE_FILE_BY_DESIGN
    ]
    assert long == []


def test_parameters_have_names() -> None:
    """A call with many values says which is which."""
    many = [
        f"{source.name}:{function.lineno} {function.name}"
        for source in in_rooms()
        for function in source.functions()
        if _positional(function) > POSITIONAL_MAX and not source.name.startswith(COMMANDS)
    ]
    assert many == []


def _positional(function: Function) -> int:
    named = [*function.args.posonlyargs, *function.args.args]
    return sum(argument.arg not in {"self", "cls"} for argument in named)
