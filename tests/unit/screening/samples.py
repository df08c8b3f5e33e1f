"""Seeded names to try the matcher with: altered listed names, and people who are on no list."""

import random
from collections.abc import Callable, Iterator
from datetime import date, timedelta

from activities.screening.lists.entries import ListEntry, ScreeningList

_GIVEN = """
    James Mary Robert Patricia John Jennifer Michael Linda David Elizabeth William Barbara Carlos María
    José Juan Ana Luis Sofía Mateo Lucía Hans Ingrid Lars Freya Olga Ivan Dmitri Natalia Sergei Elena Wei
    Li Ming Xiu Jing Haruto Yui Sakura Kenji Min-jun Seo-yeon Ji-hoon Priya Rahul Anjali Arjun Deepak
    Sunita Mohammed Fatima Ahmed Aisha Omar Layla Hassan Yusuf Zainab Khalid Kwame Ama Chinedu Ngozi
    Oluwaseun Adaeze Thabo Nomsa Tendai Giovanni Giulia Marco Francesca Pierre Camille Antoine Chloé João
    Beatriz Pedro Inês Mehmet Ayşe Emre Elif Linh Minh Thanh Somchai Niran Putri Budi Dewi Agus Siti Nur
    Rizal Amina Ibrahim Karim Reza Maryam Hossein Zahra Shirin Andrzej Katarzyna Piotr Zofia Viktor
    Anastasia Bogdan Ioana Nikos Eleni
""".split()  # noqa: SIM905 - a table of words reads best as text
_FAMILY = """
    Smith Johnson Williams Brown Jones García Miller Davis Rodríguez Martínez Hernández López González
    Pérez Sánchez Ramírez Torres Flores Rivera Müller Schmidt Schneider Fischer Weber Hansen Johansson
    Nielsen Petrov Ivanov Smirnova Kuznetsov Popova Wang Zhang Chen Liu Yang Huang Zhao Tanaka Suzuki Sato
    Watanabe Kim Park Lee Choi Jung Sharma Patel Singh Kumar Gupta Reddy Iyer Khan Ahmed Hussain Ali Malik
    Hassan Rahman Chowdhury Mensah Okafor Adeyemi Nwosu Balogun Dlamini Nkosi Moyo Rossi Bianchi Romano
    Ferrari Dubois Moreau Laurent Silva Santos Oliveira Pereira Costa Yilmaz Demir Kaya Çelik Nguyễn Trần
    Phạm Hoàng Suwan Santoso Wijaya Saputra Ibrahim Abdullah Yusof Hosseini Ahmadi Karimi Kowalski Nowak
    Woźniak Popescu Ionescu Papadopoulos Nikolaidis Haddad Khoury Mansour Saleh Nasser
""".split()  # noqa: SIM905 - a table of words reads best as text
_RESPELLINGS = (
    ("ou", "u"), ("u", "ou"), ("ee", "i"), ("i", "ee"), ("q", "k"), ("k", "q"), ("kh", "h"),
    ("dh", "d"), ("aa", "a"), ("y", "i"), ("i", "y"), ("ph", "f"), ("w", "v"), ("v", "w"),
    ("c", "k"), ("j", "dj"), ("e", "i"), ("o", "u"), ("ss", "s"), ("mm", "m"), ("ei", "ai"),
    ("a", "á"), ("o", "ö"), ("e", "è"), ("n", "ñ"), ("s", "ş"),
)  # fmt: skip
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_LONG = 5

Alteration = Callable[[random.Random, list[str]], list[str] | None]


def innocents(count: int, seed: int) -> Iterator[tuple[str, date]]:
    """Plausible names of many cultures, each with a birth date."""
    chance = random.Random(seed)  # noqa: S311 - test data, not a secret
    for _ in range(count):
        given = chance.choice(_GIVEN)
        if chance.random() < 0.3:
            given = f"{given} {chance.choice(_GIVEN)}"
        born = date(1940, 1, 1) + timedelta(days=chance.randrange(24_000))
        yield f"{given} {chance.choice(_FAMILY)}", born


def altered_names(
    listed: ScreeningList, kind: str, count: int, seed: int
) -> list[tuple[ListEntry, str, str, str]]:
    """Entries with what was done to which of their names, and what came of it."""
    chance = random.Random(seed)  # noqa: S311 - test data, not a secret
    entries = [entry for entry in listed.entries if entry.kind == kind]
    found: list[tuple[ListEntry, str, str, str]] = []
    while len(found) < count:
        entry = chance.choice(entries)
        name = chance.choice([name for name in entry.names if name not in entry.weak_names])
        how = chance.choice(sorted(ALTERATIONS))
        words = _in_speaking_order(name)
        new = ALTERATIONS[how](chance, words) if name.isascii() and 2 <= len(words) <= 6 else None
        if new is not None and new != words:
            found.append((entry, how, name, " ".join(new)))
    return found


def _in_speaking_order(name: str) -> list[str]:
    family, comma, given = name.partition(",")
    return f"{given} {family}".split() if comma else name.split()


def _typo(chance: random.Random, words: list[str]) -> list[str] | None:
    long = [at for at, word in enumerate(words) if len(word) >= _LONG]
    if not long:
        return None
    at = chance.choice(long)
    return [*words[:at], _mistyped(chance, words[at].lower()), *words[at + 1 :]]


def _mistyped(chance: random.Random, word: str) -> str:
    at = chance.randrange(1, len(word) - 1)
    letter = chance.choice(_LETTERS)
    return chance.choice(
        (
            word[:at] + word[at + 1 :],
            word[:at] + letter + word[at:],
            word[:at] + letter + word[at + 1 :],
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        )
    )


def _without_middle(chance: random.Random, words: list[str]) -> list[str] | None:
    if len(words) <= 2:
        return None
    gone = chance.randrange(1, len(words) - 1)
    return [*words[:gone], *words[gone + 1 :]]


def _swapped(_: random.Random, words: list[str]) -> list[str] | None:
    return [words[-1], *words[:-1]]


def _respelled(chance: random.Random, words: list[str]) -> list[str] | None:
    ways = [
        (at, old, new)
        for at, word in enumerate(words)
        for old, new in _RESPELLINGS
        if old in word.lower() and len(word) > 3
    ]
    if not ways:
        return None
    at, old, new = chance.choice(ways)
    return [*words[:at], words[at].lower().replace(old, new, 1), *words[at + 1 :]]


def _initial(chance: random.Random, words: list[str]) -> list[str] | None:
    if len(words) <= 2:
        return None
    at = chance.randrange(1, len(words) - 1)
    return [*words[:at], f"{words[at][0]}.", *words[at + 1 :]]


def _joined(chance: random.Random, words: list[str]) -> list[str] | None:
    if len(words) <= 2:
        return None
    at = chance.randrange(len(words) - 1)
    return [*words[:at], words[at] + words[at + 1].lower(), *words[at + 2 :]]


ALTERATIONS: dict[str, Alteration] = {
    "typo": _typo,
    "no middle name": _without_middle,
    "other order": _swapped,
    "other spelling": _respelled,
    "initial": _initial,
    "joined": _joined,
}
