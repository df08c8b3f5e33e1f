"""The record: one bundle that an auditor verifies offline."""

from abc import ABC, abstractmethod

from temporalio import activity

from activities.contracts.shapes import BatchStep, Document


class Record(ABC):
    """Writes evidence out of the store."""

    @activity.defn
    @abstractmethod
    async def write_bundle(self, step: BatchStep) -> Document:
        """Writes the bundle of a batch whose head is attested. Retry: the bundle is written again whole."""
