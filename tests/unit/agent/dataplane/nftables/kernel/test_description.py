"""A transaction can be read."""

from __future__ import annotations

import pytest
from tests.unit.agent.dataplane.nftables import golden
from tests.unit.agent.dataplane.nftables.frontends import frontends, ip, network

from proxyconfig_agent.dataplane.nftables.kernel import changes
from proxyconfig_agent.dataplane.nftables.kernel.description import describe
from proxyconfig_agent.dataplane.nftables.model.endpoint_chains import EndpointChain
from proxyconfig_agent.dataplane.nftables.model.table import table_of
from proxyconfig_agent.dataplane.nftables.table.state import TableState
from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.dataplane.tables.kernel import transaction
from proxyconfig_agent.dataplane.tables.kernel.actual import ActualTable, HeldChain
from proxyconfig_agent.ingest.model import Family

TABLE = table_of(Family.IPV4)


@pytest.mark.parametrize("family", Family)
def test_the_rules_are_those_of_the_golden_files(family: Family) -> None:
    assert golden.text(golden.SETTINGS, family) == golden.file(family).read_text()


def test_the_change_of_a_service_is_a_handful_of_lines() -> None:
    table = TableState(Family.IPV4, lambda: 0.0)
    port = frontends(
        "web",
        "10.96.0.1",
        ("10.244.0.1:8080",),
        load_balancer_ips=(ip("192.0.2.1"),),
        source_ranges=(network("10.0.0.0/8"),),
    )
    delta = table.delta(table.lower({port.name: port}, Settings()))
    lines = describe(changes.changed(Family.IPV4, {EndpointChain(1): 3}, [delta])).splitlines()
    assert lines[:2] == ["add chain ip proxyconfig pick-1", "flush chain ip proxyconfig pick-1"]
    assert "add element ip proxyconfig classes { 0x03000000 : goto pick-1 }" in lines
    assert "add element ip proxyconfig cluster-ips { 0x0a600001 }" in lines
    assert any(line.startswith("add element ip proxyconfig services { 0x0a60000106000000") and "shop/web:http" in line for line in lines)
    assert any("source-ranges { 0xc0000201060000000050" in line and "-0xc0000201" in line for line in lines)


def test_what_goes_is_deleted_or_flushed() -> None:
    held = ActualTable(awake=True, chains={"stranger": HeldChain(None, accepts=True)})
    assert describe(transaction.foreign(TABLE, held, {}, {})).splitlines() == [
        "flush chain ip proxyconfig stranger",
        "delete chain ip proxyconfig stranger",
    ]
