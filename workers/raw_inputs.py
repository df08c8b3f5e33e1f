"""Hands every input of a workflow or message over raw where its handler takes `*inputs: RawValue`.

The SDK decodes such inputs as JSON before the handler runs; one that does not decode wedges a start and
drops a signal in silence. Raw, each reaches our own parser, which refuses visibly.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.common import RawValue
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverter,
    DefaultPayloadConverter,
    PayloadConverter,
)


class RawInputsConverter(DefaultPayloadConverter):
    """The default converter, but inputs whose handler states no types are not decoded."""

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        """Gives raw values where no types are asked for, else what the default gives."""
        if type_hints is None:
            return [RawValue(payload) for payload in payloads]
        return super().from_payloads(payloads, type_hints)


class DecodedDetailsConverter(DefaultFailureConverter):
    """The default failure converter; details of failures state no types either, and are not inputs."""

    def from_failure(self, failure: Failure, payload_converter: PayloadConverter) -> BaseException:  # noqa: ARG002 - the SDK's signature
        """Gives the error with its details decoded: they are our own."""
        return super().from_failure(failure, PayloadConverter.default)


RAW_INPUTS = replace(
    DataConverter.default,
    payload_converter_class=RawInputsConverter,
    failure_converter_class=DecodedDetailsConverter,
)
"""The data converter of every worker and replay."""
