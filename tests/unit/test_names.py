"""When two names mean one person, and when a name could mean anybody."""

import pytest

from activities.trust.names import looks_like, name_key
from activities.trust.persons import Person


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("lee@acme.example", "lee@acme.example"),
        ("Lee+Work@ACME.Example.", "lee@acme.example"),
        ("lee+a+b@acme.example", "lee@acme.example"),
        ("\uff4c\uff45\uff45@acme.example", "lee@acme.example"),
        ("\u212aim@acme.example", "kim@acme.example"),
        ("Lee Example", "leeexample"),
        ("a@b+c@d.example", "a@b@d.example"),
    ],
)
def test_name_is_compared_in_one_form(name: str, key: str) -> None:
    """Width, case, blanks, mail tags and a domain's last dot make no other person."""
    assert name_key(name) == key


@pytest.mark.parametrize(
    "name", ["", " ", ".", "l\u0435e", "lee\u200b", "\u202elee", "le\u0301e", "l\x00", "l\x7f"]
)
def test_name_that_could_hide_anybody_has_no_form(name: str) -> None:
    """Letters outside ASCII and signs nobody sees could imitate any name."""
    assert name_key(name) is None


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("1ee", "lee", True),
        ("bum", "burn", True),
        ("vvim", "wim", True),
        ("0p5", "ops", True),
        ("lee", "lea", False),
    ],
)
def test_names_are_compared_by_eye(one: str, other: str, alike: bool) -> None:
    """Digits for letters and pairs of letters that run together look alike."""
    assert looks_like(one, other) is alike


def test_name_without_a_form_is_none_of_a_persons_names() -> None:
    """A name that could hide anybody matches nobody, also when a person bears it."""
    names = frozenset({"lee@acme.example"})
    someone = Person(name="l\u0435e", roles=frozenset(), tenants=frozenset(), keys=(), also_known_as=names)
    assert someone.name_keys == names
