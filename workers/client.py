"""Connections to Temporal, by the SDK's own environment configuration or the settings file."""

import os

from temporalio.client import Client, Interceptor
from temporalio.contrib.opentelemetry import TracingInterceptor
from temporalio.converter import DataConverter
from temporalio.envconfig import ClientConfig

from workers.settings import ClientSettings

_ENVIRONMENT = ("TEMPORAL_ADDRESS", "TEMPORAL_PROFILE", "TEMPORAL_CONFIG_FILE")


async def connect(
    settings: ClientSettings, *, identity: str, data_converter: DataConverter = DataConverter.default
) -> Client:
    """Gives a client whose calls carry the trace of their caller.

    Raises: RuntimeError when no server answers.
    """
    interceptors: list[Interceptor] = [TracingInterceptor()]
    if any(name in os.environ for name in _ENVIRONMENT):
        config = ClientConfig.load_client_connect_config()
        return await Client.connect(
            **config, identity=identity, interceptors=interceptors, data_converter=data_converter
        )
    return await Client.connect(
        settings.temporal.address,
        namespace=settings.temporal.namespace,
        identity=identity,
        interceptors=interceptors,
        data_converter=data_converter,
    )
