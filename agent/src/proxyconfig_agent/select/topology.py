"""Which of a Service port's endpoints this node uses: readiness, termination, topology hints, traffic policies. Pure.

The rules are kube-proxy's (pkg/proxy/topology.go, Kubernetes 1.36), with its names:
R = ready; ST = serving and terminating but not ready, the fallback while pods drain; L = on this node.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from proxyconfig_agent.ingest.model import Node, Policy, Service, Traits

Endpoint = bytes
"""Packed: address, then port (2 bytes, big-endian)."""

_Chosen = list[tuple[Endpoint, Traits]]


class Choice(Struct, frozen=True):
    """What a node uses. `cluster` and `local` are empty where no policy asks for them; `reachable` as in `Frontends`."""

    cluster: tuple[Endpoint, ...] = ()
    local: tuple[Endpoint, ...] = ()
    reachable: bool = False


def uses_cluster(service: Service) -> bool:
    return service.internal_policy is not Policy.LOCAL or service.externally_accessible


def uses_local(service: Service) -> bool:
    return service.internal_policy is Policy.LOCAL or external_policy(service) is Policy.LOCAL


def external_policy(service: Service) -> Policy:
    """The policy of external addresses; a Service that has none by its spec has policy Cluster (row 72)."""
    return service.external_policy if service.externally_accessible else Policy.CLUSTER


def choose(endpoints: Mapping[Endpoint, Traits], service: Service, node: Node) -> Choice:
    """Choose for every policy that the Service uses; the lists come sorted, so that equal inputs give equal values."""
    ready = [pair for pair in endpoints.items() if pair[1].ready]
    draining = [] if len(ready) == len(endpoints) else _draining(endpoints)
    cluster: Iterable[Endpoint] = ()
    local: Iterable[Endpoint] = ()
    if uses_cluster(service):
        # Topology is a preference among ready endpoints; when none is ready, every draining one counts.
        cluster = sorted([endpoint for endpoint, _ in _nearby(ready, node) or draining])
    reachable = bool(cluster)
    if uses_local(service):
        local = _on(node, ready) or _on(node, draining)
        reachable = bool(ready or draining)
    return Choice(tuple(cluster), tuple(local), reachable)


def _draining(endpoints: Mapping[Endpoint, Traits]) -> _Chosen:
    return [(endpoint, traits) for endpoint, traits in endpoints.items() if traits.serving and traits.terminating and not traits.ready]


def _on(node: Node, endpoints: _Chosen) -> tuple[Endpoint, ...]:
    return tuple(sorted(endpoint for endpoint, traits in endpoints if traits.node == node.name))


def _nearby(ready: _Chosen, node: Node) -> _Chosen:
    """Those that the hints of all ready endpoints agree on: same node, else same zone; else all of them.

    A hint counts only if every ready endpoint has one of its kind, and at least one names this node (or its zone)."""
    if ready and not (ready[0][1].node_hints or ready[0][1].zone_hints):
        return ready
    kinds = {id(traits): traits for _, traits in ready}.values()  # traits are shared: few to look at, however many endpoints
    if kinds and all(traits.node_hints for traits in kinds) and any(node.name in traits.node_hints for traits in kinds):
        return [(endpoint, traits) for endpoint, traits in ready if node.name in traits.node_hints]
    if node.zone and kinds and all(traits.zone_hints for traits in kinds) and any(node.zone in traits.zone_hints for traits in kinds):
        return [(endpoint, traits) for endpoint, traits in ready if node.zone in traits.zone_hints]
    return ready
