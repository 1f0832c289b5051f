"""Whether there is what the operator needs, before it starts: a reachable API server that has our CRDs and lets us in."""

from __future__ import annotations

import asyncio

import msgspec

from proxyconfig_api.objects import names
from proxyconfig_client.apiserver.client import ApiClient, path_of
from proxyconfig_client.connection.config import ClientConfig
from proxyconfig_client.connection.errors import ApiError, ConfigurationError, is_missing

PLURALS = ("proxyconfigs", "nodeproxies")


PATIENCE_S = 30
"""For a server that has just started, or has just been given the CRDs."""


class _BusyError(ConfigurationError):
    pass


class _Resource(msgspec.Struct):
    name: str


class _Resources(msgspec.Struct):
    resources: list[_Resource]


async def check(connection: ApiClient, config: ClientConfig) -> None:
    """Raises ConfigurationError with one sentence that says what is missing and what to do."""
    for patience in range(PATIENCE_S, -1, -1):
        try:
            await _check(connection, config)
        except _BusyError:
            if not patience:
                raise
            await asyncio.sleep(1)
        else:
            return


async def _check(connection: ApiClient, config: ClientConfig) -> None:
    try:
        served = msgspec.json.decode(await connection.get(path_of(names.API_VERSION, "").rstrip("/")), type=_Resources)
        missing = [plural for plural in PLURALS if plural not in {resource.name for resource in served.resources}]
        for plural in PLURALS:
            if not missing:
                await connection.get(path_of(names.API_VERSION, plural), query={"limit": "1"})
    except ApiError as error:
        if error.status == 429 or error.status >= 500:
            raise _BusyError(f"the API server at {config.server} is not ready: {error}") from error
        if not is_missing(error):
            raise ConfigurationError(
                f"the API server at {config.server} refuses us: {error}; check the operator's RBAC and token"
            ) from error
        missing = list(PLURALS)
    except (TimeoutError, OSError) as error:
        words = str(error) or type(error).__name__
        raise ConfigurationError(
            f"cannot reach the API server at {config.server}: {words}; check the address in the kubeconfig or in KUBERNETES_SERVICE_HOST"
        ) from error
    if missing:
        raise ConfigurationError(f"the API server at {config.server} does not serve {' and '.join(missing)}: kubectl apply -f crds/ first")
