"""The maps that all Services share besides the `address_sets`, by the names that an administrator sees."""

from __future__ import annotations

from proxyconfig_agent.dataplane.nftables.model.service_mark import LOCAL_LIST
from proxyconfig_agent.dataplane.tables.model import address_sets, datatypes
from proxyconfig_agent.dataplane.tables.model.datatypes import ADDRESS, INTEGER, PRIORITY, Datatype, concatenation, map_of
from proxyconfig_agent.dataplane.tables.model.ruleset import Container
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.nftables import userdata

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

AFFINITY_SIZE = 1 << 20

_WORD = userdata.typeof_meta(uapi.NFT_META_PRIORITY)
_INDEX = userdata.typeof_numgen(2 * LOCAL_LIST)
_VERDICT: Datatype = (uapi.NFT_DATA_VERDICT, 16)


def containers(family: Family) -> dict[str, Container]:
    """All of them, for the table of `family`."""
    place = (concatenation(PRIORITY, INTEGER), 8)
    backend, backend_type = datatypes.backend(family), datatypes.backend_type(family)
    frontend, frontend_type = datatypes.frontend(family), datatypes.frontend_type(family)
    word = (PRIORITY, 4)
    list_place = userdata.typeof_concatenation(_WORD, _INDEX)
    return {
        SERVICES: map_of(frontend, frontend_type, word, _WORD, "ClusterIP, externalIP, VIP -> service id + class"),
        NODEPORTS: map_of(datatypes.NODE_PORT, datatypes.NODE_PORT_TYPE, word, _WORD, "NodePort -> service id + class"),
        CLASSES: map_of(word, _WORD, _VERDICT, userdata.typeof_verdict(), "class -> chain"),
        PICKS: map_of(word, _WORD, _VERDICT, userdata.typeof_verdict(), "the classes that pick an endpoint"),
        CLUSTER_LISTS: map_of(word, _WORD, word, _WORD, "id -> class of its cluster list, services with external addresses"),
        LOCAL_LISTS: map_of(word, _WORD, word, _WORD, "id -> class of its local list"),
        ENDPOINTS: map_of(place, list_place, backend, backend_type, f"id . index (local list from {LOCAL_LIST}) -> endpoint"),
        STICKY_LISTS: map_of(place, list_place, word, _WORD, "session affinity: id . index -> id + slot"),
        STICKY_ENDPOINTS: map_of(word, _WORD, backend, backend_type, "session affinity: id + slot -> endpoint, cluster lists"),
        STICKY_LOCAL_ENDPOINTS: map_of(word, _WORD, backend, backend_type, "session affinity: id + slot -> endpoint, local lists"),
        AFFINITY: _affinity(family),
        **address_sets.containers(family),
    }


def _affinity(family: Family) -> Container:
    """Written by packets only."""
    key = (concatenation(PRIORITY, ADDRESS[family]), 4 + family.size)
    octets = userdata.set_userdata(
        userdata.MIXED_ORDER,
        userdata.typeof_concatenation(_WORD, datatypes.source_type(family)),
        userdata.HOST_ORDER,
        _WORD,
        "session affinity: id . client -> id + slot",
    )
    return Container(
        key, (PRIORITY, 4), flags=uapi.NFT_SET_MAP | uapi.NFT_SET_TIMEOUT | uapi.NFT_SET_EVAL, size=AFFINITY_SIZE, userdata=octets
    )
