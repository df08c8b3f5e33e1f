"""Every exception from a rule says which rule and why; nothing is left open, nothing is swallowed."""

import ast
import re
from collections.abc import Iterator

from tests.house.sources import Source, in_rooms, sources

NOQA = re.compile(r"#\s*(?:ruff:\s*)?noqa(?P<rest>.*)")
NOQA_REASONED = re.compile(r": [A-Z]+[0-9]+(?:, ?[A-Z]+[0-9]+)* - \S+.*")
IGNORE = re.compile(r"#\s*type:\s*ignore(?P<rest>.*)")
IGNORE_REASONED = re.compile(r"\[[a-z-]+(?:, ?[a-z-]+)*\]  # \S+.*")
PRAGMA = re.compile(r"#\s*pragma:(?P<rest>.*)")
PRAGMA_REASONED = re.compile(r" no (?:cover|branch) - \S+.*")
OPEN_NOTE = re.compile(r"#.*\b(?:TODO|FIXME|XXX|HACK)\b(?P<rest>.*)")
WAITING = "tests/waiting.py"
"""The one place that polls."""
SKIPS = {"skip", "skipif", "xfail", "importorskip"}


def test_every_lint_exception_names_code_and_reason() -> None:
    """`# noqa: CODE - reason`, and nothing wider."""
    wrong = [place for place, rest in _marked(NOQA) if not NOQA_REASONED.fullmatch(rest)]
    assert wrong == []


def test_every_type_exception_names_code_and_reason() -> None:
    """`# type: ignore[code]  # reason`, and nothing wider."""
    wrong = [place for place, rest in _marked(IGNORE) if not IGNORE_REASONED.fullmatch(rest)]
    assert wrong == []


def test_what_is_hidden_from_coverage_says_why() -> None:
    """`# pragma: no cover - reason`."""
    wrong = [
        place for place, rest in _marked(PRAGMA) if not re.fullmatch(r" no (cover|branch) - \S+.*", rest)
    ]
    assert wrong == []


def test_no_note_is_left_open() -> None:
    """What is to be done stands elsewhere."""
    assert [place for place, _ in _marked(OPEN_NOTE)] == []


def test_every_skip_says_why() -> None:
    """A test that does not run is counted in the summary with its reason."""
    wrong = [
        f"{source.name}:{call.lineno}"
        for source in in_rooms("tests")
        for call in _pytest_calls(source, SKIPS)
        if not (any(keyword.arg == "reason" for keyword in call.keywords) or _says(call))
    ]
    assert wrong == []
    bare = [
        f"{source.name}:{node.lineno}"
        for source in in_rooms("tests")
        for function in source.functions()
        for node in function.decorator_list
        if isinstance(node, ast.Attribute) and node.attr in SKIPS
    ]
    assert bare == []


def test_no_test_waits_by_the_clock() -> None:
    """Tests wait for a condition to a deadline, in one place, never for a time."""
    wrong = [
        f"{source.name}:{node.lineno}"
        for source in in_rooms("tests")
        if source.name != WAITING
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"time.sleep", "asyncio.sleep", "sleep"}
        if ast.unparse(node) != "asyncio.sleep(0)"  # gives others their turn, and takes no time
    ]
    assert wrong == []


def test_nothing_unforeseen_is_swallowed() -> None:
    """An error is caught by its type; one caught as whatever it may be is never passed over."""
    wrong = [
        f"{source.name}:{node.lineno}"
        for source in in_rooms()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ExceptHandler) and _swallows(node)
    ]
    assert wrong == []


def test_the_key_room_prints_and_logs_nothing() -> None:
    """Where a seed can be, nobody imports a logger or prints."""
    near = [
        s for s in in_rooms("activities") if s.name.startswith(("activities/keys/", "activities/custody/"))
    ]
    logging = [
        f"{source.name}:{line} {module}"
        for source in near
        for line, module in source.imported()
        if module.partition(".")[0] in {"logging", "structlog", "warnings", "opentelemetry"}
    ]
    printing = [
        f"{source.name}:{node.lineno}"
        for source in near
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"print", "breakpoint"}
    ]
    assert logging + printing == []
    assert len(near) > 20


def _swallows(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    broad = ast.unparse(handler.type) in {"Exception", "BaseException"}
    return broad and all(isinstance(node, ast.Pass | ast.Continue) for node in handler.body)


def _marked(pattern: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    """The place and the rest of the line after every such mark, but for this room's own patterns."""
    for source in sources():
        if source.name.startswith("tests/house/"):
            continue
        for line, text in enumerate(source.lines, start=1):
            if match := pattern.search(text):
                yield f"{source.name}:{line}", match.group("rest")


def _pytest_calls(source: Source, names: set[str]) -> Iterator[ast.Call]:
    for node in ast.walk(source.tree):
        called = node.func if isinstance(node, ast.Call) else None
        named = isinstance(called, ast.Attribute) and called.attr in names
        if isinstance(node, ast.Call) and named and ast.unparse(node.func).startswith("pytest."):
            yield node


def _says(call: ast.Call) -> bool:
    """`pytest.skip("...")` gives its reason first."""
    first = call.args[0] if call.args else None
    given = isinstance(first, ast.JoinedStr) or (isinstance(first, ast.Constant) and bool(first.value))
    return given and isinstance(call.func, ast.Attribute) and call.func.attr == "skip"
