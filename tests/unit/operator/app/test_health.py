"""What /healthz says, and where the pages listen."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator

import msgspec
import pytest

from proxyconfig_client.connection.errors import ConfigurationError
from proxyconfig_operator.app.health import STUCK_S, Vitals, ago, serve
from proxyconfig_operator.model.address import Address

FINE = Vitals(leading=True, lease_tried_ago_s=1.0)


@contextlib.asynccontextmanager
async def served(address: Address, vitals: Vitals = FINE) -> AsyncIterator[int]:
    """The port of a server."""
    runner = await serve(address, lambda: vitals)
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def asked(host: str, port: int, path: str = "/healthz") -> tuple[int, bytes]:
    """Status and body of an answer."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return int(head.split()[1]), body


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::"])
async def test_a_wildcard_listens_on_what_there_is_of_both_families(host: str) -> None:
    families = ["127.0.0.1", *(["::1"] if socket.has_dualstack_ipv6() else [])]
    async with served(Address(host, 0)) as port:
        assert [(await asked(each, port))[0] for each in families] == [200] * len(families)


async def test_an_address_listens_there_alone() -> None:
    async with served(Address("127.0.0.1", 0)) as port:
        assert (await asked("127.0.0.1", port))[0] == 200
        with pytest.raises(OSError):  # noqa: PT011 - which one is the system's affair
            await asked("127.0.0.2", port)


async def test_a_port_that_is_taken_is_said_with_the_flag_to_change() -> None:
    async with served(Address("127.0.0.1", 0)) as port:
        with pytest.raises(ConfigurationError, match=rf"cannot serve health on 127.0.0.1:{port} .*: choose another --healthz-bind-address"):
            await serve(Address("127.0.0.1", port), lambda: FINE)


@pytest.mark.parametrize(
    ("vitals", "status"),
    [
        pytest.param(FINE, 200, id="leads"),
        pytest.param(Vitals(leading=False, lease_tried_ago_s=0.0, waiting_for=("nodes",)), 200, id="stands-by"),
        pytest.param(Vitals(leading=True, lease_tried_ago_s=STUCK_S), 503, id="asks-for-no-lease"),
        pytest.param(Vitals(leading=True, lease_tried_ago_s=0.0, reconciling_for_s=STUCK_S), 503, id="hangs-in-a-reconcile"),
        pytest.param(Vitals(leading=False, lease_tried_ago_s=1.0, distrusted_for_s=STUCK_S - 1), 200, id="is-distrusted-for-a-moment"),
        pytest.param(Vitals(leading=False, lease_tried_ago_s=1.0, distrusted_for_s=STUCK_S), 503, id="is-distrusted"),
    ],
)
async def test_healthz_fails_only_where_a_restart_helps_and_says_what_goes_on(vitals: Vitals, status: int) -> None:
    async with served(Address("127.0.0.1", 0), vitals) as port:
        answered, body = await asked("127.0.0.1", port)
        assert (await asked("127.0.0.1", port, "/readyz")) == (200, b"ok")

    said = msgspec.json.decode(body)
    assert (answered, said["alive"], said["leading"]) == (status, status == 200, vitals.leading)
    assert said["waiting_for"] == list(vitals.waiting_for)


def test_what_never_was_is_no_time_ago() -> None:
    assert ago(None, time.monotonic) == 0.0


async def test_a_kernel_without_ipv6_is_listened_to_on_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    async with served(Address("", 0)) as port:
        assert (await asked("127.0.0.1", port))[0] == 200
