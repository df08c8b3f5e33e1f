"""Every hostile string in every field of a request: kept as it is, or refused in our words."""

import copy
import json
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

from activities.canonical import canonical
from activities.contracts.request import parse_request
from activities.trust.request_signing import request_text
from tests.hostile.strings import LONE, UNSEEN, hostile_strings, outcome, telling
from tests.requests import a_request
from workflows.limits import REQUEST_BYTES_MAX
from workflows.messages import one_object

GOOD = a_request(
    on_bad_rows="refuse",
    rollout={"waves_percent": [1, 100], "soak_seconds": 0, "approve_from_wave": 1},
    signature="-----BEGIN SSH SIGNATURE-----\nabc=\n-----END SSH SIGNATURE-----\n",
)

PLACES: list[tuple[str | int, ...]] = [
    *((name,) for name in GOOD),
    ("chains", 0),
    ("source", "uri"),
    ("source", "sha256"),
    ("rollout", "waves_percent"),
    ("rollout", "waves_percent", 0),
    ("rollout", "soak_seconds"),
    ("rollout", "approve_from_wave"),
]


def _with(place: tuple[str | int, ...], value: object) -> dict[str, Any]:
    request = copy.deepcopy(GOOD)
    within: Any = request
    for step in place[:-1]:
        within = within[step]
    within[place[-1]] = value
    return request


def _sent(request: dict[str, Any]) -> dict[str, Any]:
    """The request as it comes out of a payload."""
    payload = Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(request).encode())
    return one_object([RawValue(payload)], bytes_max=REQUEST_BYTES_MAX)


def _refusal(request: dict[str, Any]) -> str:
    """The refusal's text, or nothing when the request is taken."""
    return outcome(lambda: parse_request(_sent(request)))[1]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
def test_every_string_in_every_field_is_kept_or_refused_without_repeating_it(
    place: tuple[str | int, ...],
) -> None:
    """A refusal names the field, is one printable line, and holds nothing of what was sent."""
    name = str(place[0])
    for text in (*hostile_strings(), *LONE):
        request = _with(place, text)
        said = _refusal(request)
        if said:
            assert name in said, ascii(text)
            assert said.isprintable(), ascii(text)
            assert not (telling(text) and text in said), ascii(text)
        else:
            taken = parse_request(request)
            assert getattr(taken, name) == request[name] or name in {"source", "rollout"}
            assert json.loads(canonical(request)) == request
            assert "signature" not in json.loads(request_text(request))


@pytest.mark.parametrize("inside", [None, "source", "rollout"])
def test_a_strangers_field_name_is_shown_printable_and_short(inside: str | None) -> None:
    """A name nobody knows is refused, and shown so that neither a terminal nor a log obeys it."""
    for text in (*hostile_strings(), *LONE):
        if text in GOOD:
            continue
        place = (text,) if inside is None else (inside, text)
        said = _refusal(_with(place, "value-of-a-stranger"))
        assert "unknown field" in said or (text in LONE and "Unicode" in said.title()), ascii(text)
        assert said.isprintable()
        assert not UNSEEN.search(said)
        assert len(said) < 300
        assert "value-of-a-stranger" not in said


@pytest.mark.parametrize("value", [True, 1.5, {}, [["x"]], {"x": {}}, 10**30, "x" * 30_000], ids=repr)
def test_values_of_other_kinds_are_refused_by_name(value: object) -> None:
    """Nothing is turned into text, a number or a list by kindness."""
    for place in PLACES:
        said = _refusal(_with(place, value))
        assert str(place[0]) in said, place
        assert "xxx" not in said
