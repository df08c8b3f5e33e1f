"""The house rules themselves: each pattern finds what it is for and lets pass what it must."""

import ast

import pytest

from tests.house import test_docstrings, test_exceptions, test_sizes, test_words
from tests.house.sources import Source


@pytest.mark.parametrize("rest", ["", ": E501", " E501", ": E501 reason", ": - why", ": e501 - why"])
def test_a_lint_exception_without_code_or_reason_is_found(rest: str) -> None:
    """Neither alone is enough."""
    assert not test_exceptions.NOQA_REASONED.fullmatch(rest)


@pytest.mark.parametrize("rest", ["", "[arg-type]", "  # why", "[arg-type] why"])
def test_a_type_exception_without_code_or_reason_is_found(rest: str) -> None:
    """Neither alone is enough."""
    assert not test_exceptions.IGNORE_REASONED.fullmatch(rest)


def test_exceptions_with_code_and_reason_pass() -> None:
    """The forms that the house writes."""
    assert test_exceptions.NOQA_REASONED.fullmatch(": BLE001 - the door's purpose")
    assert test_exceptions.IGNORE_REASONED.fullmatch("[arg-type]  # a literal")
    assert test_exceptions.PRAGMA_REASONED.fullmatch(" no cover - another platform")


@pytest.mark.parametrize(
    ("handler", "swallowed"),
    [
        ("except: pass", True),
        ("except Exception: pass", True),
        ("except Exception: continue", True),
        ("except ValueError: pass", False),
        ("except Exception: raise", False),
    ],
)
def test_a_swallowed_error_is_found(handler: str, swallowed: bool) -> None:
    """Whatever it may be is never passed over; a named error may be."""
    tree = ast.parse(f"for _ in ():\n  try: x()\n  {handler}")
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)]
    assert [test_exceptions._swallows(node) for node in found] == [swallowed]


@pytest.mark.parametrize(
    ("call", "reasoned"),
    [('pytest.skip("no server")', True), ('pytest.skip("")', False), ("pytest.skip()", False)],
)
def test_a_skip_without_a_reason_is_found(call: str, reasoned: bool) -> None:
    """An empty reason is none."""
    (found,) = test_exceptions._pytest_calls(Source("tests/x.py", call), test_exceptions.SKIPS)
    assert test_exceptions._says(found) is reasoned


@pytest.mark.parametrize("parts", [("", "home", "lee", "x"), ("", "root", "x"), ("'", "Users", "lee")])
def test_a_folder_of_ones_own_is_found(parts: tuple[str, ...]) -> None:
    """Home folders, wherever in a line they stand."""
    assert test_words.MACHINE_PATH.search("/".join(parts))


@pytest.mark.parametrize(
    "parts",
    [("", "var", "tmp", "x"), ("", "etc", "walletworks"), ("{base}", "home", "x"), ("a", "root", "x")],
)
def test_a_path_of_a_service_or_container_is_not_ones_own(parts: tuple[str, ...]) -> None:
    """Only what a machine's owner has is refused."""
    assert not test_words.MACHINE_PATH.search("/".join(parts))


@pytest.mark.parametrize(
    ("text", "explained"),
    [
        ('A_MAX = 1\n"""Why."""', True),
        ('A_MIN = 1\nA_MAX = 2\n"""Why."""', True),
        ("A_MAX = 1  # why", True),
        ("# why\nA_MAX = 1", True),
        ("A_MAX = 1", False),
        ("A_MAX = 1\ndef f(): ...", False),
    ],
)
def test_a_limit_without_a_reason_is_found(text: str, explained: bool) -> None:
    """A text below, or a comment."""
    found = list(test_docstrings._constants(Source("workflows/x.py", text)))
    assert all(told is explained for _, told in found)
    assert found


def test_every_import_is_seen() -> None:
    """Plain, from, aliased and inside a function."""
    text = "import time as t\nfrom os import path\ndef f():\n    import uuid, random"
    found = {module for _, module in Source("workflows/x.py", text).imported()}
    assert found == {"time", "os", "os.path", "uuid", "random"}


def test_every_positional_parameter_counts() -> None:
    """Not the receiver, and not what is keyword only."""
    (function,) = Source("x.py", "def f(self, a, b, /, c, *, d): ...").functions()
    assert test_sizes._positional(function) == 3
