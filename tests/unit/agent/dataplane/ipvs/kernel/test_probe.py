"""What the mode finds out before it runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import pytest
from tests.support.simulator.ipvs.servers import SimulatedServers
from tests.support.simulator.nftables.kernel import SimulatedKernel

from proxyconfig_agent.dataplane.ipvs.kernel.kernel import Kernel
from proxyconfig_agent.dataplane.ipvs.kernel.probe import probe
from proxyconfig_agent.dataplane.ipvs.kernel.servers import VirtualServers
from proxyconfig_agent.dataplane.ipvs.kernel.tables import Tables
from proxyconfig_agent.dataplane.port import DataplaneError
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink import localroutes
from proxyconfig_agent.netlink.ipvs.batches import Refusal
from proxyconfig_agent.netlink.ipvs.connection import Connection
from proxyconfig_agent.netlink.ipvs.messages import Command, Kind, Scheduling, VirtualServer, listed_service
from proxyconfig_agent.netlink.nftables.connection import Connection as NfTables


class Forgetful:
    """A kernel that keeps only the flags that it knows."""

    def __init__(self) -> None:
        self._held: dict[VirtualServer, Scheduling] = {}

    def commit(self, commands: Iterable[Command]) -> list[Refusal]:
        for command in commands:
            if command.kind is Kind.NEW_SERVICE:
                known = listed_service(bytes(4) + command.payload)
                assert known is not None
                server, scheduling = known
                self._held[server] = scheduling._replace(flags=scheduling.flags & 0x3F)
            else:
                self._held.clear()
        return []

    def services(self) -> dict[VirtualServer, Scheduling]:
        return dict(self._held)


def test_a_kernel_that_does_not_keep_the_mark_cannot_run_the_mode() -> None:
    forgetful = Forgetful()
    servers = VirtualServers(cast("Connection", forgetful))
    kernel = Kernel(servers, cast("localroutes.Connection", None), Tables(cast("NfTables", None)))
    with pytest.raises(DataplaneError, match=r"^ipvs: the kernel does not keep the mark of this mode's virtual servers"):
        probe(kernel)
    assert forgetful.services() == {}


@pytest.mark.parametrize("commands", [1, 3])
def test_what_an_agent_left_that_ended_while_it_probed_hinders_no_other(commands: int) -> None:
    ipvs, sent = SimulatedServers(), 0

    def before_commit() -> None:
        nonlocal sent
        sent += 1
        if sent > commands:
            raise OSError("gone")

    ipvs.before_commit = before_commit
    kernel = Kernel(VirtualServers(ipvs), cast("localroutes.Connection", None), Tables(SimulatedKernel()))
    with pytest.raises(OSError, match="gone"):
        probe(kernel)
    assert len(ipvs.servers) == 1
    sent = -10
    assert probe(kernel).served == tuple(Family)
    assert ipvs.servers == {}
