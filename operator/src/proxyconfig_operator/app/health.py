"""/healthz and /readyz. Both are answered by a standby as well.

An API server that cannot be reached is no reason to be restarted. One that rejects the operator's credentials, or whose certificate is
not trusted, is: rotated files are read again while the operator runs, so after minutes only a new pod may have others.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass

import msgspec
from aiohttp import web

from proxyconfig_client.connection.errors import ConfigurationError
from proxyconfig_operator.model.address import Address

STUCK_S = 300.0
"""No reconcile, with all its writes, takes that long; the Lease is asked for every two seconds."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """What is going on, in seconds."""

    leading: bool
    lease_tried_ago_s: float
    distrusted_for_s: float = 0.0
    """Since the API server has rejected the credentials, or has had a certificate that is not trusted."""
    reconciling_for_s: float = 0.0
    waiting_for: tuple[str, ...] = ()
    """Resources that have not been listed completely yet."""
    unselected_nodes: int = 0

    @property
    def alive(self) -> bool:
        return max(self.lease_tried_ago_s, self.distrusted_for_s, self.reconciling_for_s) < STUCK_S


def ago(since: float | None, clock: Callable[[], float]) -> float:
    """Seconds since a time of this clock; 0 if it never was."""
    return 0.0 if since is None else round(clock() - since, 1)


async def serve(address: Address, vitals: Callable[[], Vitals]) -> web.AppRunner:
    """Answer until the returned runner is cleaned up. Raises ConfigurationError when the address cannot be had."""

    async def healthz(_: web.Request) -> web.Response:
        now = vitals()
        return web.Response(
            status=200 if now.alive else 503, body=msgspec.json.encode({"alive": now.alive} | asdict(now)), content_type="application/json"
        )

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    application = web.Application()
    application.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.SockSite(runner, _listening(address)).start()
    except OSError as error:
        await runner.cleanup()
        raise ConfigurationError(f"cannot serve health on {address} ({error.strerror}): choose another --healthz-bind-address") from error
    return runner


def _listening(address: Address) -> socket.socket:
    """A socket that listens; a wildcard's does on IPv6 and IPv4, or on what the kernel has of them. Raises OSError."""
    if address.is_wildcard:
        both = socket.has_dualstack_ipv6()
        return socket.create_server(("", address.port), family=socket.AF_INET6 if both else socket.AF_INET, dualstack_ipv6=both)
    family, _, _, _, where = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
    return socket.create_server(where, family=family)
