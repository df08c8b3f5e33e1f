"""The workers' data converter: inputs reach handlers raw, details of failures do not."""

from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from activities.failures import ServiceUnavailableError
from workers.raw_inputs import RAW_INPUTS


def test_input_without_a_stated_type_is_handed_over_as_it_came() -> None:
    """What does not even decode reaches our own parser."""
    broken = Payload(metadata={"encoding": b"json/plain"}, data=b"{")
    (given,) = RAW_INPUTS.payload_converter.from_payloads([broken])
    assert isinstance(given, RawValue)
    assert given.payload == broken


def test_service_named_in_a_failure_is_read_as_text() -> None:
    """Workflows show it to people as what they wait for."""
    failure = Failure()
    converter, payloads = RAW_INPUTS.failure_converter, RAW_INPUTS.payload_converter
    converter.to_failure(ServiceUnavailableError("database"), payloads, failure)
    error = converter.from_failure(failure, payloads)
    assert isinstance(error, ApplicationError)
    assert error.details == ("database",)
