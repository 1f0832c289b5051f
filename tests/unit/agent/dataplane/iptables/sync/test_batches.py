"""What is too much for one input of iptables-restore goes in several, each of which iptables takes."""

from __future__ import annotations

import pytest
from tests.support.simulator.iptables.mode import IptablesMode
from tests.support.simulator.iptables.tables import Tables
from tests.unit.agent.dataplane.iptables.listing import SETTINGS
from tests.unit.agent.dataplane.iptables.test_delta import ENDPOINTS, adopted, contents, lowering
from tests.unit.agent.dataplane.nftables.frontends import frontends, ip, network

from proxyconfig_agent.dataplane.iptables.model import chain_names
from proxyconfig_agent.dataplane.iptables.model.ruleset import Chain, Table
from proxyconfig_agent.dataplane.iptables.model.static_rules import JUMPS
from proxyconfig_agent.dataplane.iptables.sync import reconcile
from proxyconfig_agent.dataplane.iptables.sync.batches import BATCH, portions
from proxyconfig_agent.dataplane.iptables.sync.reconcile import TableDiff
from proxyconfig_agent.dataplane.iptables.tools.binaries import Backend
from proxyconfig_agent.ingest.model import Family, Policy
from proxyconfig_agent.select.frontends import Frontends

EVERY_CHAIN = [
    frontends(
        f"web-{number}",
        f"10.96.0.{number}",
        ENDPOINTS,
        local=ENDPOINTS[:2],
        node_port=30000 + number,
        load_balancer_ips=(ip(f"192.0.2.{number}"),),
        source_ranges=(network("10.0.0.0/8"),),
        external_policy=Policy.LOCAL,
    )
    for number in (1, 2, 3)
]
"""Service ports that have chains of all kinds."""


def many(services: int) -> list[Frontends]:
    return [
        frontends(f"s{number}", f"10.96.1.{number}", tuple(f"10.244.{number}.{each}:8080" for each in range(1, 11)))
        for number in range(1, services + 1)
    ]


@pytest.mark.parametrize("operations", [1, 4, 1000])
def test_a_removal_in_portions_leaves_what_one_at_once_leaves(operations: int) -> None:
    tables = Tables()
    adopted(tables, [*EVERY_CHAIN])
    assert all(any(chain.name.startswith(prefix) for chain in tables.chains) for prefix in chain_names.PREFIXES)
    for portion in portions(reconcile.removal(JUMPS, tables.saved()), operations):
        tables.edit(portion)
    assert tables.chains == Tables().chains


@pytest.mark.parametrize("operations", [1, 4, 1000])
def test_what_nobody_wants_goes_in_portions_around_what_stays(operations: int) -> None:
    tables, fresh, low = Tables(), Tables(), lowering()
    adopted(tables, [*EVERY_CHAIN])
    adopted(fresh, [*EVERY_CHAIN[:1]])
    found = TableDiff(low.fixed, tables.saved())
    found.structure()
    found.port(low.rules(EVERY_CHAIN[0]))
    for portion in portions(found.rest(), operations):
        tables.edit(portion, low.fixed.last)
    assert contents(tables) == contents(fresh)


def test_a_chain_that_somebody_else_leads_to_is_emptied_before_what_it_led_to_goes() -> None:
    tables, low = Tables(), lowering()
    adopted(tables, [*EVERY_CHAIN])
    used = next(chain for chain in tables.chains if chain.name.startswith("KUBE-SVC-"))
    tables.chains[Chain(Table.NAT, "STRANGE")] = [f"-j {used.name}"]
    found = TableDiff(low.fixed, tables.saved())
    found.structure()
    for portion in portions(found.rest(), 4):
        tables.edit(portion, low.fixed.last)
    assert [chain.name for chain in tables.chains if chain.name.startswith("KUBE-SVC-")] == [used.name]
    assert tables.chains[used] == []


def test_no_input_of_a_removal_or_a_sync_is_longer_than_those_of_a_first_sync() -> None:
    mode, ports = IptablesMode(), many(150)
    mode.dataplane.resync(SETTINGS, ports)
    for remove in (lambda: mode.dataplane.resync(SETTINGS, ports[:3]), mode.dataplane.remove):
        mode.dataplane.resync(SETTINGS, ports)
        mode.tools[Family.IPV4].longest_input = 0
        remove()
        # A deleted chain is two lines, and each table has a first and a last one.
        assert 0 < mode.tools[Family.IPV4].longest_input <= 2 * BATCH[Backend.NFT] + 2
    assert mode.dataplane.scan() == []
