"""Frontends to elements: pure. Two Frontends of the same Service port differ in as many elements as the change is large."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from msgspec import Struct

from proxyconfig_agent.dataplane.nftables.model import sets
from proxyconfig_agent.dataplane.nftables.model.endpoint_chains import EndpointChain
from proxyconfig_agent.dataplane.nftables.model.service_mark import EXTERNAL, EXTERNAL_LOCAL, LOCAL_LIST, word
from proxyconfig_agent.dataplane.tables.model import address_sets
from proxyconfig_agent.dataplane.tables.model.address_elements import PADDING, firewall, frontend_keys, protocol_and_port
from proxyconfig_agent.dataplane.tables.model.elements import comment_tail, value_tail
from proxyconfig_agent.dataplane.tables.model.ruleset import Elements
from proxyconfig_agent.ingest.model import Address, Policy
from proxyconfig_agent.select.frontends import Backends, Frontends, count

_index = struct.Struct("=I").pack


class Numbers(Struct, frozen=True):
    """What the words of one Service port say."""

    identity: int
    codes: Mapping[EndpointChain, int]
    slots: Mapping[bytes, int]
    """Of its endpoints, if it has session affinity."""


class Picks(NamedTuple):
    """Of one Service port's two lists; a list that nothing uses, or that is empty, has no endpoints."""

    cluster: EndpointChain
    local: EndpointChain


def lower(frontends: Frontends, numbers: Numbers, node_addresses: tuple[Address, ...]) -> Elements:
    """Everything that one Service port puts into the shared sets."""
    elements: Elements = {}
    comment = comment_tail(str(frontends.name))
    picks = picks_of(frontends)
    _lower_cluster_ip(elements, frontends, numbers, picks, comment)
    if frontends.is_accessible:
        _lower_external(elements, frontends, numbers, picks, comment)
    elements |= firewall(frontends, node_addresses)
    _lower_backends(elements, frontends, numbers, picks)
    if frontends.on_node:
        elements[address_sets.HAIRPIN] = {address + address: b"" for address in frontends.on_node}
    return elements


def picks_of(frontends: Frontends) -> Picks:
    """How the cluster list and the local list are picked from."""
    cluster = count(frontends.cluster, frontends.family) if frontends.uses_cluster else 0
    local = count(frontends.local, frontends.family) if frontends.uses_local else 0
    return Picks(EndpointChain(cluster, False, frontends.affinity_s), EndpointChain(local, True, frontends.affinity_s))


def _lower_cluster_ip(elements: Elements, frontends: Frontends, numbers: Numbers, picks: Picks, comment: bytes) -> None:
    if not frontends.cluster_ip:
        return
    key = frontends.cluster_ip + protocol_and_port(frontends.name.protocol, frontends.port)
    pick = picks.local if frontends.internal_policy is Policy.LOCAL else picks.cluster
    elements[address_sets.CLUSTER_IPS] = {frontends.cluster_ip: b""}
    if pick.endpoints:
        elements[sets.SERVICES] = {key: value_tail(word(numbers.identity, numbers.codes[pick])) + comment}
    else:
        elements[address_sets.NO_LOCAL if frontends.reachable and pick.local else address_sets.NO_ENDPOINTS] = {key: comment}


def _lower_external(elements: Elements, frontends: Frontends, numbers: Numbers, picks: Picks, comment: bytes) -> None:
    by_local = frontends.external_policy is Policy.LOCAL
    serves = value_tail(word(numbers.identity, EXTERNAL_LOCAL if by_local else EXTERNAL)) + comment
    served = picks.cluster.endpoints or (by_local and picks.local.endpoints)
    for services, no_endpoints, no_local, keys in _external_keys(frontends):
        for key in keys:
            if not served:
                elements.setdefault(no_endpoints, {})[key] = comment
                continue
            elements.setdefault(services, {})[key] = serves
            if by_local and not picks.local.endpoints:
                elements.setdefault(no_local, {})[key] = comment
    own = word(numbers.identity)
    if picks.cluster.endpoints:
        elements[sets.CLUSTER_LISTS] = {own: value_tail(word(numbers.identity, numbers.codes[picks.cluster]))}
    if by_local and picks.local.endpoints:
        elements[sets.LOCAL_LISTS] = {own: value_tail(word(numbers.identity, numbers.codes[picks.local]))}


def _external_keys(frontends: Frontends) -> Iterator[tuple[str, str, str, list[bytes]]]:
    """The sets for each kind of external address, and the keys. A ClusterIP among the external addresses stays what it is."""
    own = frontends.cluster_ip
    keys = [key for key in frontend_keys(frontends) if own is None or not key.startswith(own)]
    yield sets.SERVICES, address_sets.NO_ENDPOINTS, address_sets.NO_LOCAL, keys
    if frontends.node_port:
        nodeport = protocol_and_port(frontends.name.protocol, frontends.node_port)
        yield sets.NODEPORTS, address_sets.NO_ENDPOINTS_NODEPORTS, address_sets.NO_LOCAL_NODEPORTS, [nodeport]


def _lower_backends(elements: Elements, frontends: Frontends, numbers: Numbers, picks: Picks) -> None:
    cluster = frontends.cluster if picks.cluster.endpoints else Backends(b"")
    local = frontends.local if picks.local.endpoints else Backends(b"")
    if not cluster and not local:
        return
    identity, step = numbers.identity, frontends.family.size + 2
    if frontends.affinity_s:
        slots = {endpoint: word(identity, slot) for endpoint, slot in numbers.slots.items()}
        elements[sets.STICKY_LISTS] = _slot_list(cluster, 0, step, identity, slots) | _slot_list(local, LOCAL_LIST, step, identity, slots)
        elements[sets.STICKY_ENDPOINTS] = _slot_endpoints(cluster, step, slots)
        elements[sets.STICKY_LOCAL_ENDPOINTS] = _slot_endpoints(local, step, slots)
    else:
        elements[sets.ENDPOINTS] = _endpoints(cluster, 0, step, identity)
        if local:
            elements[sets.ENDPOINTS] |= _endpoints(local, LOCAL_LIST, step, identity)


def _endpoints(backends: Backends, base: int, step: int, identity: int) -> dict[bytes, bytes]:
    own = word(identity)
    head = value_tail(bytes(step + 2))[: -(step + 2)]
    starts = range(0, len(backends), step)
    return {own + _index(i): head + backends[at : at + step] + PADDING for i, at in enumerate(starts, base)}


def _slot_list(backends: Backends, base: int, step: int, identity: int, slots: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    own = word(identity)
    return {own + _index(i): value_tail(slots[endpoint]) for i, endpoint in enumerate(_each(backends, step), base)}


def _slot_endpoints(backends: Backends, step: int, slots: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    return {slots[endpoint]: value_tail(endpoint + PADDING) for endpoint in _each(backends, step)}


def _each(backends: Backends, step: int) -> Iterator[bytes]:
    return (backends[at : at + step] for at in range(0, len(backends), step))
