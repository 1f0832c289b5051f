"""The chains in front of the proxy. They depend on Settings and on where the proxy listens, and on nothing else.

services         which addresses and NodePorts go to the proxy, and by which of the next four
cluster          to the proxy, which chooses among all endpoints
local            to the proxy, which chooses among those of this node
external-local   policy Local: pods and processes of the node reach all endpoints, everybody else those of this node
short-circuit    policy Local without an endpoint on this node: pods and processes of the node reach all endpoints, nobody else any

The class of a client is lost behind the proxy's sockets, so it is decided here, and each kind of list has separate sockets.
"""

from __future__ import annotations

from collections.abc import Iterator

from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.dataplane.tables.model import address_sets, checks, matches
from proxyconfig_agent.dataplane.tables.model.ruleset import NFPROTO, Chain, Fixed, Hook, Rule, twice
from proxyconfig_agent.dataplane.userspace.model import maps
from proxyconfig_agent.dataplane.userspace.model.entrances import LOOPBACK, Entrances
from proxyconfig_agent.dataplane.userspace.proxy.sockets import TAG
from proxyconfig_agent.ingest.model import ANY, Family, Protocol
from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.nftables import expressions as x
from proxyconfig_agent.netlink.nftables.expressions import Base, Ct, Meta, Verdict

LAST_CHAIN = checks.CLUSTER_IPS
_ENTRANCES = "entrances-check"
_ADDRESS = 8
"""The register."""


def fixed(settings: Settings, entrances: Entrances, family: Family) -> Fixed:
    """Containers, chains and the elements that come from Settings."""
    chains = _service_chains(settings, entrances, family) | checks.chains(settings, family) | _base_chains(settings, family)
    chains[_ENTRANCES] = Chain(tuple(_uninvited(entrances, family)))
    return Fixed(maps.containers(family), chains, {address_sets.NODEPORT_IPS: checks.node_port_elements(settings, family)})


def _service_chains(settings: Settings, entrances: Entrances, family: Family) -> dict[str, Chain]:
    from_node = x.address_type(of_source=True, to=0) + x.equal(0, x.host(uapi.RTN_LOCAL))
    to_cluster, to_local = x.verdict(Verdict.GOTO, maps.CLUSTER), x.verdict(Verdict.GOTO, maps.LOCAL)
    own = (
        *(Rule(match + to_cluster, "short-circuit pod traffic") for match in matches.from_pods(settings, family)),
        Rule(from_node + to_cluster, "short-circuit local traffic"),
    )
    by_address = Rule(matches.frontend(family) + x.verdict_lookup(maps.SERVICES, 0))
    by_node_port = Rule(matches.on_node(settings, family) + matches.protocol_and_port(0) + x.verdict_lookup(maps.NODEPORTS, 0))
    return {
        maps.CLUSTER: Chain(tuple(_redirects(entrances, family, local=False))),
        maps.LOCAL: Chain(tuple(_redirects(entrances, family, local=True))),
        maps.SHORT_CIRCUIT: Chain(own),
        maps.EXTERNAL_LOCAL: Chain((*own, Rule(to_local))),
        "services": Chain((*twice(by_address), *twice(by_node_port))),
    }


def _redirects(entrances: Entrances, family: Family, *, local: bool) -> Iterator[Rule]:
    """To an address of the node, not `redirect`: that drops what comes in on an interface without an address, as pods' often are."""
    port_register = _ADDRESS + family.size // 4
    for protocol, port in entrances.of(family, local=local):
        target = x.immediate(entrances.address(family), _ADDRESS) + x.immediate(port.to_bytes(2), port_register)
        yield Rule(_is(protocol) + target + x.destination_nat(NFPROTO[family], _ADDRESS, port_register))


def _uninvited(entrances: Entrances, family: Family) -> Iterator[Rule]:
    """The proxy serves what these rules have brought to it, nobody who calls it directly."""
    direct = x.ct(Ct.STATUS, 0) + x.masked(0, uapi.IPS_DST_NAT) + x.equal(0, x.host(0))
    for local in (False, True):
        for protocol, port in entrances.of(family, local=local):
            to_port = x.payload(Base.TRANSPORT, 2, 2, 0) + x.equal(0, port.to_bytes(2))
            yield Rule(direct + _is(protocol) + to_port + checks.reject(family), "the proxy's own ports")


def _is(protocol: Protocol) -> bytes:
    return x.meta(Meta.L4PROTO, 0) + x.equal(0, bytes((protocol,)))


def _base_chains(settings: Settings, family: Family) -> dict[str, Chain]:
    to_services = x.verdict(Verdict.JUMP, "services")
    # An endpoint may have the address of a Service, even of its Service: the proxy's connection to it would come back to the proxy.
    not_from_proxy = x.meta(Meta.PRIORITY, 0) + x.unequal(0, x.host(TAG))
    output = (Rule(not_from_proxy + to_services), *_localhost(settings, family, not_from_proxy))
    return {
        "nat-prerouting": Chain((Rule(to_services),), Hook("nat", uapi.NF_INET_PRE_ROUTING, -100)),
        "nat-output": Chain(output, Hook("nat", uapi.NF_INET_LOCAL_OUT, -100)),
        **checks.base_chains((_ENTRANCES, checks.NODEPORT_ENDPOINTS, checks.SERVICE_ENDPOINTS)),
    }


def _localhost(settings: Settings, family: Family, not_from_proxy: bytes) -> Iterator[Rule]:
    """NodePorts on loopback addresses: only processes of the node send to them, so only here. It takes no route_localnet."""
    serving = settings.node_port_addresses
    if settings.localhost_node_ports and (ANY[family] in serving or LOOPBACK[family] in serving):
        loopback = matches.within(matches.DESTINATION_AT[family], matches.LOOPBACK[family])
        yield Rule(not_from_proxy + loopback + matches.protocol_and_port(0) + x.verdict_lookup(maps.NODEPORTS, 0), "localhost NodePorts")
