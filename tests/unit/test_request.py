"""The request: every problem names its field and the rule, and never the value."""

from typing import Any

import pytest

from activities.contracts.request import parse_request
from activities.failures import InvalidRequestError
from tests.requests import a_request

GOOD = a_request(
    chains=["ethereum", "bsc"],
    rollout={"waves_percent": [1, 100], "soak_seconds": 0},
    signature="-----BEGIN SSH SIGNATURE-----\nabc=\n-----END SSH SIGNATURE-----\n",
)


def test_the_published_shape_is_taken() -> None:
    """The request of the design is a request."""
    assert parse_request(GOOD).batch_id == "spring-airdrop"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"chains": ["dogecoin"]}, "chains: must be among"),
        ({"chains": ["bsc", "bsc"]}, "chains: must not repeat"),
        ({"rollout": {"waves_percent": [50, 10, 100]}}, "rollout.waves_percent: must rise and end at 100"),
        ({"rollout": {"waves_percent": [1, 10]}}, "rollout.waves_percent: must rise and end at 100"),
        ({"source": {"uri": "inbox://a\x00b", "sha256": "ab" * 32}}, "source.uri: "),
        ({"source": {"uri": "file:///etc/passwd", "sha256": "ab" * 32}}, "source.uri: "),
        ({"signature": "line\x00line"}, "signature: "),
        ({"batch_id": "Spring"}, "batch_id: "),
        ({"tenant": 7}, "tenant: "),
        ({"requested_by": "\u043eps@acme.example"}, "requested_by: "),
        ({"secret_value": "hunter2"}, "secret_value: unknown field"),
    ],
)
def test_a_wrong_field_is_named_and_its_value_is_not_repeated(change: dict[str, Any], problem: str) -> None:
    """The requester learns which field breaks which rule."""
    with pytest.raises(InvalidRequestError) as refused:
        parse_request(GOOD | change)
    assert problem in refused.value.message
    for value in ("dogecoin", "hunter2", "/etc/passwd", "Spring"):
        assert value not in refused.value.message


@pytest.mark.parametrize("received", [None, [], "text", 7])
def test_what_is_no_object_is_no_request(received: object) -> None:
    """One JSON object, or a refusal that says so."""
    with pytest.raises(InvalidRequestError, match="one JSON object"):
        parse_request(received)
