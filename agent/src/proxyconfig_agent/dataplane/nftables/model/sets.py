"""The sets and maps that all Services share, by the names that an administrator sees.

Types are given the way nft itself stores them, so that `nft list ruleset` prints `ip daddr . meta l4proto . th dport : meta priority`.
"""

from __future__ import annotations

from proxyconfig_agent.dataplane.nftables.model.ruleset import Container
from proxyconfig_agent.dataplane.nftables.model.service_mark import LOCAL_LIST
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.nftables import userdata

CLUSTER_IPS = "cluster-ips"
NODEPORT_IPS = "nodeport-ips"
SERVICES = "services"
NODEPORTS = "nodeports"
CLASSES = "classes"
PICKS = "picks"
CLUSTER_LISTS = "cluster-lists"
LOCAL_LISTS = "local-lists"
ENDPOINTS = "endpoints"
STICKY_LISTS = "sticky-lists"
STICKY_ENDPOINTS = "sticky-endpoints"
STICKY_LOCAL_ENDPOINTS = "sticky-local-endpoints"
AFFINITY = "affinity"
HAIRPIN = "hairpin"
NO_ENDPOINTS = "no-endpoints"
NO_LOCAL = "no-local"
NO_ENDPOINTS_NODEPORTS = "no-endpoints-nodeports"
NO_LOCAL_NODEPORTS = "no-local-nodeports"
FIREWALL_IPS = "firewall-ips"
SOURCE_RANGES = "source-ranges"

AFFINITY_SIZE = 1 << 20

# nft's own numbers (datatype.h and proto.h of nftables): the kernel keeps them and knows no meaning.
_INTEGER, _PROTOCOL, _PORT, _PRIORITY = 4, 12, 13, 23
_ADDRESS = {Family.IPV4: 7, Family.IPV6: 8}
_DESTINATION = {Family.IPV4: (12, 12), Family.IPV6: (13, 9)}
_SOURCE = {Family.IPV4: (12, 11), Family.IPV6: (13, 8)}
_TRANSPORT, _TRANSPORT_DESTINATION = 11, 2

_WORD = userdata.typeof_meta(uapi.NFT_META_PRIORITY)
_L4PROTO = userdata.typeof_meta(uapi.NFT_META_L4PROTO)
_DPORT = userdata.typeof_payload(_TRANSPORT, _TRANSPORT_DESTINATION)
_INDEX = userdata.typeof_numgen(2 * LOCAL_LIST)


def containers(family: Family) -> dict[str, Container]:
    """All of them, for the table of `family`."""
    size, kind = family.size, _ADDRESS[family]
    destination, source = userdata.typeof_payload(*_DESTINATION[family]), userdata.typeof_payload(*_SOURCE[family])
    address = (kind, size)
    frontend = (_concatenation(kind, _PROTOCOL, _PORT), size + 8)
    nodeport = (_concatenation(_PROTOCOL, _PORT), 8)
    place = (_concatenation(_PRIORITY, _INTEGER), 8)
    backend = (_concatenation(kind, _PORT), size + 4)
    word = (_PRIORITY, 4)
    list_place = userdata.typeof_concatenation(_WORD, _INDEX)
    backend_type = userdata.typeof_concatenation(destination, _DPORT)
    frontend_type = userdata.typeof_concatenation(destination, _L4PROTO, _DPORT)
    return {
        CLUSTER_IPS: _set(address, "all ClusterIPs"),
        NODEPORT_IPS: _set(address, "addresses that accept NodePort traffic"),
        SERVICES: _map(frontend, frontend_type, word, _WORD, "ClusterIP, externalIP, VIP -> service id + class"),
        NODEPORTS: _map(nodeport, userdata.typeof_concatenation(_L4PROTO, _DPORT), word, _WORD, "NodePort -> service id + class"),
        CLASSES: _map(word, _WORD, (uapi.NFT_DATA_VERDICT, 16), userdata.typeof_verdict(), "class -> chain"),
        PICKS: _map(word, _WORD, (uapi.NFT_DATA_VERDICT, 16), userdata.typeof_verdict(), "the classes that pick an endpoint"),
        CLUSTER_LISTS: _map(word, _WORD, word, _WORD, "id -> class of its cluster list, services with external addresses"),
        LOCAL_LISTS: _map(word, _WORD, word, _WORD, "id -> class of its local list"),
        ENDPOINTS: _map(place, list_place, backend, backend_type, f"id . index (local list from {LOCAL_LIST}) -> endpoint"),
        STICKY_LISTS: _map(place, list_place, word, _WORD, "session affinity: id . index -> id + slot"),
        STICKY_ENDPOINTS: _map(word, _WORD, backend, backend_type, "session affinity: id + slot -> endpoint, cluster lists"),
        STICKY_LOCAL_ENDPOINTS: _map(word, _WORD, backend, backend_type, "session affinity: id + slot -> endpoint, local lists"),
        AFFINITY: _affinity(family, source),
        HAIRPIN: _set(
            (_concatenation(kind, kind), 2 * size), "local endpoint . itself", userdata.typeof_concatenation(source, destination)
        ),
        NO_ENDPOINTS: _set(frontend, "services without endpoints: reject"),
        NO_LOCAL: _set(frontend, "services with policy Local without local endpoints: drop"),
        NO_ENDPOINTS_NODEPORTS: _set(nodeport, "NodePorts without endpoints: reject"),
        NO_LOCAL_NODEPORTS: _set(nodeport, "NodePorts with policy Local without local endpoints: drop"),
        FIREWALL_IPS: _set(frontend, "VIPs with loadBalancerSourceRanges"),
        SOURCE_RANGES: Container(
            (_concatenation(kind, _PROTOCOL, _PORT, kind), 2 * size + 8),
            flags=uapi.NFT_SET_INTERVAL | uapi.NFT_SET_CONCAT,
            fields=(size, 1, 2, size),
            userdata=userdata.set_userdata(userdata.MIXED_ORDER, b"", None, b"", "VIP . clients that it admits"),
        ),
    }


def _set(key: tuple[int, int], words: str, key_type: bytes = b"") -> Container:
    return Container(key, userdata=userdata.set_userdata(_order(key), key_type, None, b"", words))


def _map(key: tuple[int, int], key_type: bytes, value: tuple[int, int], value_type: bytes, words: str) -> Container:
    octets = userdata.set_userdata(_order(key), key_type, _order(value), value_type, words)
    return Container(key, value, flags=uapi.NFT_SET_MAP, userdata=octets)


def _affinity(family: Family, source: bytes) -> Container:
    """Written by packets only."""
    key = (_concatenation(_PRIORITY, _ADDRESS[family]), 4 + family.size)
    octets = userdata.set_userdata(
        userdata.MIXED_ORDER,
        userdata.typeof_concatenation(_WORD, source),
        userdata.HOST_ORDER,
        _WORD,
        "session affinity: id . client -> id + slot",
    )
    return Container(
        key, (_PRIORITY, 4), flags=uapi.NFT_SET_MAP | uapi.NFT_SET_TIMEOUT | uapi.NFT_SET_EVAL, size=AFFINITY_SIZE, userdata=octets
    )


def _order(kind: tuple[int, int]) -> int:
    if kind[0] == _PRIORITY:
        return userdata.HOST_ORDER
    return userdata.NETWORK_ORDER if kind[0] in _ADDRESS.values() else userdata.MIXED_ORDER


def _concatenation(*kinds: int) -> int:
    """nft's number for a concatenation: six bits per part."""
    number = 0
    for kind in kinds:
        number = number << 6 | kind
    return number
