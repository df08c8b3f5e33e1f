"""Hands every input of a workflow or message over raw where its handler takes `*inputs: RawValue`.

The SDK decodes such inputs as JSON before the handler runs; one that does not decode wedges a start and
drops a signal in silence. Raw, each reaches our own parser, which refuses visibly.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from temporalio.api.common.v1 import Payload, Payloads
from temporalio.common import RawValue
from temporalio.converter import DataConverter, DefaultPayloadConverter


class RawInputsConverter(DefaultPayloadConverter):
    """The default converter, but inputs whose handler states no types are not decoded."""

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        """Gives raw values where no types are asked for, else what the default gives."""
        if type_hints is None:
            return [RawValue(payload) for payload in payloads]
        return super().from_payloads(payloads, type_hints)

    def from_payloads_wrapper(self, payloads: Payloads | None) -> list[Any]:
        """Gives details of failures decoded: they are our own."""
        return [] if payloads is None else super().from_payloads(payloads.payloads, [])

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        """Gives one value decoded, whether a type is asked for or not."""
        return super().from_payloads([payload], [type_hint] if type_hint else [])[0]


RAW_INPUTS = replace(DataConverter.default, payload_converter_class=RawInputsConverter)
"""The data converter of every worker and replay."""
