"""What others use is explained where it stands."""

import ast
import inspect
import re
from collections.abc import Iterator

import pytest

from activities import failures
from tests.house.sources import Documented, Function, Source, in_rooms, is_public, sources
from workflows import limits

MODULE_LINES_MAX = 6
LONG_BY_DESIGN = {"activities/evidence/layout.py"}
"""The bundle's published format is its module's docstring."""

REVISIONS = "infra/migrations/versions/"
"""A revision's upgrade and downgrade are what its library calls them."""

BOUND = re.compile(r"[A-Z][A-Z0-9_]*_(MAX|MIN|SECONDS|HOURS|RETRIES|TIMEOUT|LONGEST|WAIT)")
"""Names of limits."""

ERRORS = [
    error
    for _, error in inspect.getmembers(failures, inspect.isclass)
    if error.__module__ == failures.__name__
]


def test_every_module_says_what_it_is_for() -> None:
    """In at most six lines."""
    said = {source.name: ast.get_docstring(source.tree) or "" for source in in_rooms() if source.text}
    assert [name for name, words in said.items() if not words] == []
    assert {
        name for name, words in said.items() if len(words.splitlines()) > MODULE_LINES_MAX
    } <= LONG_BY_DESIGN


def test_every_public_name_is_explained() -> None:
    """Classes, functions and methods that others may use, in all rooms."""
    silent = [
        f"{source.name}:{node.lineno} {node.name}"
        for source in in_rooms()
        for node in _public(source.tree)
        if not ast.get_docstring(node) and not source.name.startswith(REVISIONS)
    ]
    assert silent == []


def test_first_lines_are_sentences() -> None:
    """They fit on one line and end with a full stop, or with a colon before a list."""
    wrong = []
    for source in in_rooms():
        for node in _public(source.tree):
            first = (ast.get_docstring(node) or ".").splitlines()[0]
            if not first.endswith((".", ":")):
                wrong.append(f"{source.name}:{node.lineno} {first}")
    assert wrong == []


def test_every_test_states_its_rule() -> None:
    """One sentence under the name."""
    silent = [
        f"{source.name}:{function.lineno} {function.name}"
        for source in in_rooms("tests")
        for function in source.functions()
        if function.name.startswith("test_") and not ast.get_docstring(function)
    ]
    assert silent == []


def test_every_limit_of_the_workflows_is_explained() -> None:
    """The table of limits gives a unit or a reason under each."""
    (table,) = (source for source in sources() if source.name == "workflows/limits.py")
    named = {name for name in vars(limits) if name.isupper()}
    assert {name for name, explained in _constants(table) if explained} == named
    assert len(named) > 10


def test_every_bound_is_explained() -> None:
    """A limit anywhere in activities, workflows and workers says its unit or why that number."""
    silent = [
        f"{source.name} {name}"
        for source in in_rooms("workflows", "activities", "workers")
        for name, explained in _constants(source)
        if BOUND.fullmatch(name) and not explained
    ]
    assert silent == []


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_type_is_explained(error: type[failures.WalletworksError]) -> None:
    """Type names are an interface: each says when it is raised, ends in Error, and decides about retries."""
    assert error.__doc__
    assert error.__doc__.strip().splitlines()[0].endswith(".")
    assert error.__name__.endswith("Error")
    assert isinstance(error.retryable, bool)


def test_every_error_type_is_the_base_or_its_child() -> None:
    """Nothing else is defined where the wire types are."""
    assert all(issubclass(error, failures.WalletworksError) for error in ERRORS)
    assert len(ERRORS) > 5


def _public(node: Documented) -> Iterator[ast.ClassDef | Function]:
    for child in node.body:
        if isinstance(child, ast.ClassDef | Function) and is_public(child.name):
            yield child
            if isinstance(child, ast.ClassDef):
                yield from _public(child)


def _constants(source: Source) -> Iterator[tuple[str, bool]]:
    """The module's public constants, and whether a text below or a comment explains each."""
    body = source.tree.body
    for at, node in enumerate(body):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name) and target.id.isupper() and is_public(target.id):
                yield target.id, _text_below(body[at + 1 :]) or _comment(source, node)


def _text_below(following: list[ast.stmt]) -> bool:
    """One text may explain several constants that stand together."""
    rest = (node for node in following if not isinstance(node, ast.Assign | ast.AnnAssign))
    node = next(rest, None)
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _comment(source: Source, node: ast.stmt) -> bool:
    above = source.lines[node.lineno - 2].strip() if node.lineno > 1 else ""
    return above.startswith("#") or "  # " in source.lines[node.lineno - 1]
