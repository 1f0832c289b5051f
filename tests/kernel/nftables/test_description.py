"""What we say of our rules is what nft prints of them, once they are in the kernel."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from tests.support.netns.namespace import Namespace
from tests.unit.agent.dataplane.nftables import golden
from tests.unit.agent.dataplane.nftables.frontends import network

from proxyconfig_agent.dataplane.nftables.model.base_chains import fixed
from proxyconfig_agent.dataplane.nftables.model.table import table_of
from proxyconfig_agent.dataplane.port import LocalTraffic, Settings
from proxyconfig_agent.dataplane.tables.kernel import transaction
from proxyconfig_agent.ingest.model import ANY, Family
from proxyconfig_agent.netlink.nftables.connection import Connection

pytestmark = pytest.mark.kernel

SETTINGS = {
    "golden": golden.SETTINGS,
    "nothing": Settings(),
    "everywhere": replace(golden.SETTINGS, node_port_addresses=tuple(ANY.values()), masquerade_all=True, masquerade_bit=3),
    "interface": Settings(local_traffic=LocalTraffic(interface="cni0")),
    "interfaces": Settings(local_traffic=LocalTraffic(interface_prefix="veth-")),
    "odd-networks": Settings(
        local_traffic=LocalTraffic(cidrs=(network("10.16.0.0/12"), network("fd00:240::/29"))), service_cidrs=(network("10.96.0.0/13"),)
    ),
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("family", Family)
def test_nft_prints_the_chains_as_we_do(node: Namespace, family: Family, settings: Settings) -> None:
    with contextlib.closing(node.call(Connection)) as kernel:
        kernel.commit(transaction.structure(table_of(family), None, fixed(settings, family).containers, golden.chains(settings, family)))
    name = "ip" if family is Family.IPV4 else "ip6"
    printed = list(chains_and_rules(name, node.run("nft", "-y", "-t", "list", "table", name, "proxyconfig")))
    said = [line for line in golden.text(settings, family).splitlines() if line.startswith(("add chain", "add rule"))]
    assert sorted(printed) == sorted(said)
    assert [line for line in printed if line.startswith("add rule")] == [line for line in said if line.startswith("add rule")]


def chains_and_rules(family: str, listing: str) -> Iterator[str]:
    """The lines of `nft list table` as commands that make them."""
    chain, hook = "", ""
    for line in listing.splitlines():
        words = line.strip()
        if words.startswith("chain "):
            chain, hook = words.split()[1], ""
        elif words == "}" and chain:
            yield f"add chain {family} proxyconfig {chain}{hook}"
            chain = ""
        elif chain and words.startswith("type "):
            hook = f" {{ {words} }}"
        elif chain:
            yield f"add rule {family} proxyconfig {chain} {words}"
