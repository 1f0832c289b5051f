"""Whether two rule sets do the same with the connections to a Service. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple, Protocol, TypeAlias

from msgspec import Struct

from proxyconfig_agent.checks.shadow.flows import Flow, NodeAddresses, flows_of
from proxyconfig_agent.checks.walker.choices import every_way
from proxyconfig_agent.checks.walker.path import Memory, Rules, Verdict, travel
from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.dataplane.sync.quarantine import RefusedError
from proxyconfig_agent.ingest.model import Address, Family, ServiceName, text_of
from proxyconfig_agent.select.frontends import Frontends, count

ENDPOINTS = 1000
"""Service ports with more endpoints are not compared: one flow to them takes longer than a second."""

ENDPOINTS_WITH_AFFINITY = 100
"""On the way to each of them is a rule for each of them, so the work grows with their square."""

Ways: TypeAlias = dict[str, Fraction]
"""What becomes of connections, in words, and of how large a part of them; together one."""


class Side(NamedTuple):
    """One of two rule sets, and the node as it is with it."""

    rules: Rules
    node: NodeAddresses


class KubeProxyRules(Protocol):
    """The rules of a kube-proxy in one family, whatever its mode is."""

    def sides(self, ports: Sequence[Frontends], settings: Settings, node: NodeAddresses) -> tuple[Side, Side]:
        """kube-proxy's, and that of the agent in the same mode, as packets for these ports meet them. Raises RefusedError."""
        ...


class Compared(Struct, frozen=True):
    """Of one Service: how many flows were compared, how many do the same, and the first that does not."""

    service: ServiceName
    flows: int = 0
    matching: int = 0
    difference: str = ""


def compared(service: ServiceName, found: Sequence[str]) -> Compared:
    """Of the differences of its flows."""
    return Compared(service, len(found), found.count(""), next(filter(None, found), ""))


def differences(
    ports: Iterable[Frontends], theirs: Mapping[Family, KubeProxyRules], settings: Settings, node: NodeAddresses
) -> Iterator[str]:
    """In what each flow to the ports of a Service differs, in words; empty if in nothing.

    Families that `theirs` does not have, and ports with very many endpoints, are left out."""
    known = [port for port in ports if port.family in theirs and not _has_too_many(port)]
    for family in Family:
        yield from _of_family([port for port in known if port.family is family], theirs, settings, node)


def _has_too_many(port: Frontends) -> bool:
    return count(port.cluster, port.family) > (ENDPOINTS_WITH_AFFINITY if port.affinity_s else ENDPOINTS)


def _of_family(
    ports: Sequence[Frontends], theirs: Mapping[Family, KubeProxyRules], settings: Settings, node: NodeAddresses
) -> Iterator[str]:
    if not ports:
        return
    try:
        sides = theirs[ports[0].family].sides(ports, settings, node)
    except RefusedError as error:
        yield f"the agent does not serve it: {error.refusal.reason}"
        return
    for flow in (flow for port in ports for flow in flows_of(port, settings, node)):
        kube_proxy, agent = (_ways(side, flow) for side in sides)
        same = kube_proxy == agent
        yield "" if same else f"{flow.client} to {flow.destination}: kube-proxy {_words(kube_proxy)}; the agent {_words(agent)}"


def _ways(side: Side, flow: Flow) -> Ways:
    """A rule that the walker does not know is a difference in itself."""
    found: defaultdict[str, Fraction] = defaultdict(Fraction)
    rules, node = side
    packet = node.leaving(flow.packet)
    try:
        for share, fate in every_way(lambda choices: travel(rules, packet, node, choices, Memory())):
            found[_fate(fate.verdict, fate.packet.destination, fate.packet.port, masqueraded=fate.packet.masqueraded)] += share
    except (ValueError, KeyError) as error:
        return {f"has a rule that cannot be read ({error})": Fraction(1)}
    return dict(found)


def _fate(verdict: Verdict, destination: bytes, port: int, *, masqueraded: bool) -> str:
    if verdict is not Verdict.ACCEPT:
        return f"{verdict.value}s"
    return f"sends to {text_of(Address(destination))} port {port}{' masqueraded' if masqueraded else ''}"


def _words(ways: Ways) -> str:
    """At most two of them."""
    listed = sorted(ways)
    return " or ".join(listed[:2]) + (f" or {len(listed) - 2} more" if len(listed) > 2 else "")
