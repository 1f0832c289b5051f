"""What rules match and load: parts of rules that several chains share, as concatenated expressions."""

from __future__ import annotations

from proxyconfig_agent.dataplane.port import LocalTraffic, Settings
from proxyconfig_agent.dataplane.tables.model import address_sets
from proxyconfig_agent.ingest.model import ANY, Address, Family, Network
from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.nftables import expressions as x
from proxyconfig_agent.netlink.nftables.expressions import Base, Meta

SOURCE_AT = {Family.IPV4: 12, Family.IPV6: 8}
DESTINATION_AT = {Family.IPV4: 16, Family.IPV6: 24}
LOOPBACK = {Family.IPV4: Network(Address(b"\x7f\0\0\0"), 8), Family.IPV6: Network(Address(bytes(15) + b"\1"), 128)}
_PORT_AT = 2
_IFNAMSIZ = 16


def source(family: Family, to: int) -> bytes:
    return x.payload(Base.NETWORK, SOURCE_AT[family], family.size, to)


def destination(family: Family, to: int = 0) -> bytes:
    return x.payload(Base.NETWORK, DESTINATION_AT[family], family.size, to)


def protocol_and_port(to: int) -> bytes:
    """Protocol and destination port, into two registers."""
    return x.meta(Meta.L4PROTO, to) + x.payload(Base.TRANSPORT, _PORT_AT, 2, to + 1)


def frontend(family: Family) -> bytes:
    """Registers from 0: destination address, protocol, destination port."""
    return destination(family) + protocol_and_port(family.size // 4)


def on_node(settings: Settings, family: Family) -> bytes:
    """The destination is an address that serves NodePorts."""
    if ANY[family] not in settings.node_port_addresses:
        return destination(family) + x.lookup(address_sets.NODEPORT_IPS, 0)
    local = x.address_type(of_source=False, to=0) + x.equal(0, x.host(uapi.RTN_LOCAL))
    return local + not_within(DESTINATION_AT[family], LOOPBACK[family])


def from_pods(settings: Settings, family: Family) -> list[bytes]:
    """One match per way in which a packet can come from a pod of this node; none if that cannot be told."""
    local = settings.local_traffic
    if name := _interface(local):
        return [x.meta(Meta.IIFNAME, 0) + x.equal(0, name)]
    return [within(SOURCE_AT[family], cidr) for cidr in _of_family(local, family)]


def not_from_pods(settings: Settings, family: Family) -> bytes | None:
    """The packet comes from no pod of this node; None if that cannot be told."""
    local = settings.local_traffic
    if name := _interface(local):
        return x.meta(Meta.IIFNAME, 0) + x.unequal(0, name)
    cidrs = _of_family(local, family)
    return b"".join(not_within(SOURCE_AT[family], cidr) for cidr in cidrs) if cidrs else None


def within(offset: int, cidr: Network) -> bytes:
    loaded, value = _prefix(offset, cidr)
    return loaded + x.equal(0, value) if value else b""


def not_within(offset: int, cidr: Network) -> bytes:
    loaded, value = _prefix(offset, cidr)
    return loaded + x.unequal(0, value)


def _prefix(offset: int, cidr: Network) -> tuple[bytes, bytes]:
    """How to load the leading bits of an address, and what they are to be; nft prints it as `ip saddr 10.0.0.0/8`."""
    size = len(cidr.base)
    whole, rest = divmod(cidr.prefix, 8)
    if not rest:
        return x.payload(Base.NETWORK, offset, whole, 0), cidr.base[:whole]
    mask = ((1 << 8 * size) - (1 << 8 * size - cidr.prefix)).to_bytes(size)
    return x.payload(Base.NETWORK, offset, size, 0) + x.bitwise(0, mask, bytes(size)), cidr.base


def _interface(local: LocalTraffic) -> bytes:
    """The octets of an interface's name to compare; of a prefix only itself, without the zeros behind it."""
    if local.interface:
        return local.interface.encode().ljust(_IFNAMSIZ, b"\0")
    return local.interface_prefix.encode()


def _of_family(local: LocalTraffic, family: Family) -> list[Network]:
    """A /0 distinguishes nothing: every packet would be a pod's."""
    return [cidr for cidr in local.cidrs if len(cidr.base) == family.size and cidr.prefix]
