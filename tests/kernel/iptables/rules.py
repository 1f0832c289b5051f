"""Our side without a process: the pipeline's pure stages, and everything they make written by one iptables-restore per family."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Mapping

import msgspec
from tests.kernel.iptables.sides import SAVES, Setting, Side
from tests.scenarios.objects import Key
from tests.scenarios.scenario import Object

from proxyconfig_agent.cluster import Cluster
from proxyconfig_agent.dataplane import LocalTraffic, Settings
from proxyconfig_agent.ingest import wire
from proxyconfig_agent.ingest.addresses import parse_network
from proxyconfig_agent.ingest.nodes import node_of
from proxyconfig_agent.ingest.values import Family, Node
from proxyconfig_agent.iptables.fixed import COUNTERS, fixed
from proxyconfig_agent.iptables.lower import lower
from proxyconfig_agent.iptables.ruleset import Chain, Features, Rules, Table
from proxyconfig_agent.node import addresses
from proxyconfig_agent.select.frontends import Frontends
from proxyconfig_agent.watch.sinks import ServiceSink, SliceSink

NETLINK_NETFILTER = 12


def write(place: Side, setting: Setting, node: Object, objects: Mapping[Key, Object], *, large: bool) -> None:
    """Make the tables of both families exactly what these objects need."""
    local = node_of(msgspec.convert(node, wire.Node))
    settings, features = _settings(place, setting, local), Features(liberal=setting.liberal, counters=True)
    place.namespace.call(_make_counters)
    frontends = list(_frontends(local, objects))
    for family in Family:
        ours = [one for one in frontends if one.family is family]
        text = _text(ours, settings, family, features, large=large)
        place.namespace.run(f"{SAVES[family is Family.IPV6]}-{place.backend}-restore", stdin=text)


def _settings(place: Side, setting: Setting, node: Node) -> Settings:
    local_traffic = {
        "ClusterCIDR": LocalTraffic(cidrs=tuple(map(parse_network, setting.cluster_cidrs))),
        "NodeCIDR": LocalTraffic(cidrs=node.pod_cidrs),
        "BridgeInterface": LocalTraffic(interface="cni0"),
        "InterfaceNamePrefix": LocalTraffic(interface_prefix="veth"),
    }
    networks = [parse_network(text) for text in setting.node_port_addresses]
    own = [each.address for each in place.namespace.call(addresses.read)]
    return Settings(
        local_traffic=local_traffic[setting.detect],
        masquerade_all=setting.masquerade_all,
        masquerade_bit=setting.masquerade_bit,
        node_port_addresses=tuple(one for one in own if any(one in network for network in networks)) if networks else None,
        node_addresses=node.addresses,
        localhost_node_ports=setting.localhost and (not networks or any(network.base[0] == 127 for network in networks)),
    )


def _frontends(node: Node, objects: Mapping[Key, Object]) -> Iterator[Frontends]:
    cluster = Cluster(node)
    services, slices = ServiceSink(cluster, _nothing), SliceSink(cluster, _nothing)
    for (kind, _, _), one in objects.items():
        if kind == "Service":
            services.put(msgspec.convert(one, wire.Service, strict=False))
        else:
            slices.put(msgspec.convert(one, wire.EndpointSlice, strict=False))
    for _, programmed in cluster.everything():
        yield from programmed


def _text(frontends: list[Frontends], settings: Settings, family: Family, features: Features, *, large: bool) -> str:
    always = fixed(settings, family, features)
    chains: dict[Chain, list[str]] = {chain: list(rules) for chain, rules in always.chains.items()}
    for rules in (lower(one, settings, features, large=large) for one in frontends):
        for chain, rule in rules.shared:
            chains[chain].append(rule)
        chains |= {Chain(Table.NAT, name): list(own) for name, own in rules.own.items()}
    for chain, last in always.last.items():
        chains[chain] += last
    return "".join(_table(table, chains, always.jumps) for table in Table)


def _table(table: Table, chains: Mapping[Chain, Rules | list[str]], jumps: tuple[tuple[Chain, str], ...]) -> str:
    inserted = [(chain, rule) for chain, rule in jumps if chain.table is table]
    led_to = [Chain(table, rule.split()[-1]) for _, rule in inserted]
    lines = [f":{chain.name} - [0:0]" for chain in dict.fromkeys((*chains, *led_to)) if chain.table is table]
    lines += [f"-I {chain.name} {rule}" for chain, rule in inserted]
    lines += [f"-A {chain.name} {rule}" for chain, rules in chains.items() if chain.table is table for rule in rules]
    return "\n".join((f"*{table}", *lines, "COMMIT", ""))


def _make_counters() -> None:
    """nfacct objects: NFNL_MSG_ACCT_NEW with a name."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as netlink:
        for name in COUNTERS:
            attribute = struct.pack("=HH", 5 + len(name), 1) + name.encode() + b"\0"
            body = struct.pack("=BBH", 0, 0, 0) + attribute + bytes(-len(attribute) % 4)
            netlink.send(struct.pack("=IHHII", 16 + len(body), 7 << 8, 0x405, 0, 0) + body)
            netlink.recv(4096)


def _nothing() -> None:
    pass
