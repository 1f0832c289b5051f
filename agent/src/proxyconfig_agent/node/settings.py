"""What the fixed part of the rules depends on, from the ProxyConfig, the Node and the addresses that the node really has. Pure.

Called again whenever one of them changes; the result is a value, and equal inputs make an equal one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from proxyconfig_agent.dataplane.modes.modes import spec_of
from proxyconfig_agent.dataplane.port import Ipvs, LocalTraffic, Settings
from proxyconfig_agent.ingest.model import ANY, Address, Family, Network, Node, family_of, text_of
from proxyconfig_agent.node.addresses.local_address import LocalAddress
from proxyconfig_agent.state.findings import Finding, Topic
from proxyconfig_api.spec.sections import DetectLocalMode, ProxyConfigSpec, Userspace
from proxyconfig_api.spec.sections import Ipvs as IpvsSpec
from proxyconfig_api.values.cidr import Cidr, NodeAddresses

LOOPBACK = Address(bytes((127, 0, 0, 1)))


def resolve(
    spec: ProxyConfigSpec, node: Node, local: Sequence[LocalAddress], service_cidrs: Sequence[Network]
) -> tuple[Settings, tuple[Finding, ...]]:
    """The settings, and findings about what of the spec has no effect on this node."""
    requested = spec.node_addresses
    local_traffic = _local_traffic(spec, node)
    serving = _serving(requested, node, [each for each in local if not each.is_loopback or _serves(each, spec)])
    settings = Settings(
        local_traffic=local_traffic,
        masquerade_all=spec.masquerade.all,
        masquerade_bit=spec.masquerade.bit,
        node_port_addresses=serving,
        node_addresses=node.addresses or _sorted(each.address for each in local if not each.is_loopback),
        localhost_node_ports=spec_of(spec.mode).localhost_node_ports(spec),
        ipvs=_ipvs(spec.ipvs or IpvsSpec()),
        proxy_addresses=_own(node, local),
        udp_idle_s=float((spec.userspace or Userspace()).udp_idle_timeout),
        drain_s=float(spec.drain_period),
        service_cidrs=tuple(sorted(service_cidrs, key=lambda network: (len(network.base), network.base, network.prefix))),
    )
    findings = (*_about_local_traffic(spec, node, local_traffic), *_about_node_ports(requested, serving, local))
    return settings, findings


def _ipvs(section: IpvsSpec) -> Ipvs:
    return Ipvs(
        scheduler=section.scheduler,
        binds_addresses=section.bind_addresses,
        adopts_kube_proxy=section.adopt_kube_proxy,
        excluded=tuple(map(_network, section.exclude_cidrs)),
    )


def _local_traffic(spec: ProxyConfigSpec, node: Node) -> LocalTraffic:
    requested = spec.local_traffic
    match requested.detect_local_mode:
        case DetectLocalMode.CLUSTER_CIDR:
            return LocalTraffic(cidrs=tuple(map(_network, requested.cluster_cidrs)))
        case DetectLocalMode.NODE_CIDR:
            return LocalTraffic(cidrs=node.pod_cidrs)
        case DetectLocalMode.BRIDGE_INTERFACE:
            return LocalTraffic(interface=requested.bridge_interface)
        case DetectLocalMode.INTERFACE_NAME_PREFIX:
            return LocalTraffic(interface_prefix=requested.interface_name_prefix)


def _serving(requested: NodeAddresses, node: Node, local: Sequence[LocalAddress]) -> tuple[Address, ...]:
    """The addresses that answer node ports."""
    if requested.primary:
        return primary(node.addresses)
    return tuple(address for family in Family for address in _inside(requested.of_family(family), family, local))


def _inside(cidrs: Iterable[Cidr], family: Family, local: Iterable[LocalAddress]) -> tuple[Address, ...]:
    """The node's addresses in these networks of a family; of a family that has none, every address, also those to come.

    As with kube-proxy (pkg/proxy/util/nodeport_addresses.go, `NewNodePortAddresses`)."""
    networks = [_network(cidr) for cidr in cidrs]
    if not networks or any(network.prefix == 0 for network in networks):
        return (ANY[family],)
    return _sorted(each.address for each in local if any(each.address in network for network in networks))


def _serves(loopback: LocalAddress, spec: ProxyConfigSpec) -> bool:
    mode = spec_of(spec.mode)
    return family_of(loopback.address) in mode.localhost_families and mode.localhost_node_ports(spec)


def _own(node: Node, local: Sequence[LocalAddress]) -> tuple[Address, ...]:
    """One of each family that an interface has, the Node's if it can be: the others come and go."""
    present = _sorted(each.address for each in local if not each.is_loopback and not each.is_link_local)
    return primary((*(address for address in node.addresses if address in present), *present))


def listen_addresses(settings: Settings, local: Iterable[LocalAddress]) -> tuple[Address, ...]:
    """Where the agent's own servers on node ports listen.

    Only addresses that the node has now, as kube-proxy does; an IPv6 link-local one means nothing without its interface."""
    own = set(ANY.values()) | {each.address for each in local if len(each.address) == Family.IPV4.size or not each.is_link_local}
    return tuple(address for address in settings.node_port_addresses if address in own)


def primary(addresses: Iterable[Address]) -> tuple[Address, ...]:
    """The first address of each family, IPv4 before IPv6."""
    first: dict[Family, Address] = {}
    for address in addresses:
        first.setdefault(family_of(address), address)
    return tuple(first[family] for family in sorted(first))


def _about_local_traffic(spec: ProxyConfigSpec, node: Node, local_traffic: LocalTraffic) -> Iterator[Finding]:
    mode = spec.local_traffic.detect_local_mode
    if mode is DetectLocalMode.NODE_CIDR and not node.pod_cidrs:
        text = (
            f"spec.localTraffic.detectLocalMode is NodeCIDR, but node {node.name} has no spec.podCIDRs: "
            "until then pod traffic cannot be detected; if nothing allocates pod CIDRs, use ClusterCIDR"
        )
        yield Finding(Topic.AGENT, "NoPodCIDRs", text)
    elif local_traffic.cidrs:
        for family in {family_of(address) for address in node.addresses} - {family_of(network.base) for network in local_traffic.cidrs}:
            text = f"{mode} of this node has no IPv{family.value} network: pod traffic cannot be detected in IPv{family.value}"
            yield Finding(Topic.AGENT, "LocalTrafficOfOneFamily", text, harmless=True)


def _about_node_ports(requested: NodeAddresses, serving: tuple[Address, ...], local: Sequence[LocalAddress]) -> Iterator[Finding]:
    if requested.primary:
        yield from _about_primary(serving, {each.address for each in local})
        return
    own = {family_of(each.address) for each in local if not each.is_loopback and not each.is_link_local}
    for family in Family:
        cidrs = requested.of_family(family)
        if not cidrs and family in own:
            text = (
                f"spec.nodePorts.addresses has no network of IPv{family.value}: NodePorts answer on every IPv{family.value} address of "
                f"the node; list the networks that serve them, or {'0.0.0.0/0' if family is Family.IPV4 else '::/0'}"
            )
            yield Finding(Topic.AGENT, "NodePortNetworksOfOneFamily", text, harmless=True)
        if ANY[family] not in serving:
            yield from _about_cidrs(cidrs, [address for address in serving if family_of(address) is family])


def _about_cidrs(cidrs: Iterable[Cidr], serving: Sequence[Address]) -> Iterator[Finding]:
    """Those of one family that have no address in them."""
    for cidr in cidrs:
        if not any(address in _network(cidr) for address in serving):
            loopback = cidr.network.is_loopback
            why = "loopback addresses serve no NodePorts in this mode" if loopback else "no address of this node is in it"
            text = f"spec.nodePorts.addresses: {cidr} has no effect: {why}"
            yield Finding(Topic.AGENT, "NoNodePortAddress", text, harmless=bool(serving))


def _about_primary(serving: tuple[Address, ...], own: set[Address]) -> Iterator[Finding]:
    if not serving:
        yield Finding(Topic.AGENT, "NoNodePortAddress", "the Node has no address in its status yet: no NodePort is served until then")
    for absent in [address for address in serving if address not in own]:
        text = (
            f"the Node's primary address {text_of(absent)} is on none of its interfaces: NodePorts are not served on it; "
            "list the networks of the node in spec.nodePorts.addresses"
        )
        yield Finding(Topic.AGENT, "PrimaryAddressNotLocal", text)


def _network(cidr: Cidr) -> Network:
    return Network(Address(cidr.packed), cidr.prefix)


def _sorted(addresses: Iterable[Address]) -> tuple[Address, ...]:
    """IPv4 first, each once."""
    return tuple(sorted(set(addresses), key=lambda address: (len(address), address)))
