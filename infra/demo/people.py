"""The demo's people: a file of subjects from many places, three of them near the demo's lists.

Made from a seed, so that the same call writes the same file. Nobody in it is a real person.
"""

import csv
import random
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Final, NamedTuple

COLUMNS: Final = (
    "subject_id",
    "subject_kind",
    "full_name",
    "date_of_birth",
    "country",
    "nationality",
    "document_number",
    "kyc_reference",
    "label",
)


class _Culture(NamedTuple):
    """Names that go together, and where their bearers live."""

    countries: tuple[str, ...]
    given: tuple[str, ...]
    family: tuple[str, ...]


class _NearMatch(NamedTuple):
    """A subject with the name of a listed person of the demo's lists."""

    full_name: str
    born: date
    country: str


NEAR_MATCHES: Final = (
    _NearMatch("Lysandra Moonbeam-Asterix", date(1959, 3, 2), "SG"),
    _NearMatch("Balthazar Quicksilverio", date(2001, 10, 17), "MY"),
    _NearMatch("Zorblatt Ignatius Quillfeather", date(1961, 3, 14), "SG"),
)
"""Two who only share a listed name, and last the listed person himself with his birth date."""

_BORN_FIRST: Final = date(1948, 1, 1)
_BORN_LAST: Final = date(2006, 12, 31)
_LABELS: Final = ("spring", "loyalty", "partner", "beta")
_SECOND_NAME_SHARE: Final = 0.15
_ABROAD_SHARE: Final = 0.1


def _culture(countries: str, given: str, family: str) -> _Culture:
    return _Culture(tuple(countries.split()), tuple(given.split()), tuple(family.split()))


_CULTURES: Final = (
    _culture(
        "SG MY TW",
        "Wei Mei Jun Hui Li Xin Jia Min Zhi Yan Kai Ling Hao Ying Cheng Fang",
        "Tan Lim Lee Ng Wong Chen Goh Chua Koh Teo Ang Yeo Ho Sim Toh Chia",
    ),
    _culture(
        "MY ID SG",
        "Ahmad Siti Muhammad Nur Ismail Aisyah Hafiz Farah Rizal Aminah Faisal Zainab Budi Dewi Agus Putri",
        "Rahman Abdullah Hassan Ibrahim Yusof Othman Salleh Hashim Santoso Wijaya Saputra Hidayat Nugroho",
    ),
    _culture(
        "IN SG AE",
        "Priya Arjun Ananya Rohan Kavita Vikram Lakshmi Sanjay Deepa Rahul Meera Suresh Divya Karthik",
        "Sharma Nair Patel Iyer Reddy Menon Gupta Pillai Rao Singh Kumar Krishnan Desai Bose",
    ),
    _culture(
        "JP",
        "Haruto Yui Sota Aoi Ren Hina Yuto Sakura Kaito Mio Takumi Rin Daiki Nanami",
        "Sato Suzuki Takahashi Tanaka Watanabe Ito Yamamoto Nakamura Kobayashi Kato Yoshida Yamada",
    ),
    _culture(
        "KR",
        "Min-jun Seo-yeon Ji-hoon Ha-eun Do-yun Ji-woo Hyun-woo Soo-jin Tae-yang Eun-ji",
        "Kim Park Choi Jung Kang Cho Yoon Jang Lim Han Shin Seo",
    ),
    _culture(
        "VN TH PH",
        "Linh Minh Thảo Quang Hương Somchai Malee Niran Kanya Maricel Jose Rosario Andres Ligaya",
        "Nguyễn Trần Phạm Hoàng Srisai Chaiyasit Suwan Reyes Santos Cruz Bautista Ocampo",
    ),
    _culture(
        "US GB AU",
        "James Olivia William Emma Henry Charlotte Thomas Amelia Jack Grace Samuel Ruby Oscar Freya",
        "Smith Johnson Williams Brown Taylor Davies Wilson Evans Walker Robinson Clarke Harris Cooper",
    ),
    _culture(
        "DE CH AT NL",
        "Lukas Hannah Jürgen Anneliese Felix Käthe Maximilian Sabine Björn Heike Pieter Saskia Bram Fenna",
        "Müller Schmidt Schneider Weber Köhler Schäfer Hoffmann Bäcker Bakker Visser Jansen",
    ),
    _culture(
        "ES MX AR",
        "María José Lucía Mateo Sofía Diego Valentina Álvaro Carmen Joaquín Elena Sebastián Inés Andrés",
        "García Fernández González Rodríguez López Martínez Sánchez Pérez Gómez Díaz Núñez Ibáñez",
    ),
    _culture(
        "FR BE CA",
        "Camille Léa Hugo Chloé Antoine Manon Théo Élodie Julien Amélie Étienne Margaux Benoît Solène",
        "Martin Bernard Dubois Lefèvre Moreau Girard Fournier Mercier Lambert Rousseau Gagnon Tremblay",
    ),
    _culture(
        "PL CZ UA",
        "Zofia Jakub Agnieszka Paweł Katarzyna Tomáš Eliška Vojtěch Oksana Taras Bohdan Iryna Łukasz Ewa",
        "Kowalski Nowak Wiśniewska Wójcik Dvořák Novotný Horák Shevchenko Bondarenko Tkachenko Kravets",
    ),
    _culture(
        "NG GH KE ZA",
        "Chinedu Ngozi Kwame Ama Oluwaseun Adaeze Wanjiru Kamau Thabo Nomsa Tendai Zanele Kofi Abena",
        "Okafor Adeyemi Mensah Boateng Mwangi Otieno Dlamini Nkosi Balogun Nwosu Owusu Khumalo",
    ),
)


def write_people(path: Path, count: int, seed: int, *, prefix: str = "S") -> None:
    """Writes the subjects' CSV: `count` rows, the near matches among them where there is room for all."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows(_rows(count, seed, prefix))


def _rows(count: int, seed: int, prefix: str) -> Iterator[tuple[str, ...]]:
    chance = random.Random(seed)  # noqa: S311 - a repeatable demonstration, nothing secret
    places = chance.sample(range(count), len(NEAR_MATCHES)) if count >= len(NEAR_MATCHES) else []
    near = dict(zip(places, NEAR_MATCHES, strict=False))
    for ordinal in range(count):
        name, born, country, nationality = _person(chance)
        if ordinal in near:
            name, born, country = near[ordinal]
            nationality = country
        yield (
            f"{prefix}-{ordinal + 1:06d}",
            "person",
            name,
            born.isoformat(),
            country,
            nationality,
            f"{nationality}{chance.randrange(10**8):08d}",
            f"KYC-2026-{ordinal + 1:06d}",
            chance.choice(_LABELS),
        )


def _person(chance: random.Random) -> tuple[str, date, str, str]:
    culture = chance.choice(_CULTURES)
    given = chance.choice(culture.given)
    if chance.random() < _SECOND_NAME_SHARE:
        given = f"{given} {chance.choice(culture.given)}"
    born = _BORN_FIRST + timedelta(days=chance.randrange((_BORN_LAST - _BORN_FIRST).days))
    nationality = chance.choice(culture.countries)
    country = nationality if chance.random() > _ABROAD_SHARE else "SG"
    return f"{given} {chance.choice(culture.family)}", born, country, nationality
