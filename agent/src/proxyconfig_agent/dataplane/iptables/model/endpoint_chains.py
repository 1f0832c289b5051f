"""The endpoints of a Service port as kube-proxy names and orders them, the chains that lead to them, and the chain of each. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from proxyconfig_agent.dataplane.iptables.model import chain_names
from proxyconfig_agent.dataplane.iptables.model.ruleset import Rules
from proxyconfig_agent.ingest.model import Family, text_of
from proxyconfig_agent.select.frontends import Backends, Frontends, split


class Endpoint(NamedTuple):
    text: str
    """`10.0.0.1:80`, `[fd00::1]:80`."""
    address: str
    chain: str


def endpoints_of(frontends: Frontends, backends: Backends) -> tuple[Endpoint, ...]:
    """A list in kube-proxy's order, by text (`10.0.0.10:80` before `10.0.0.2:80`): the order decides the probabilities."""
    if not backends:
        return ()
    form = "{}:{}" if frontends.family is Family.IPV4 else "[{}]:{}"
    addresses = [(text_of(address), port) for address, port in split(backends, frontends.family)]
    ordered = sorted((form.format(address, port), address) for address, port in addresses)
    chains = chain_names.endpoint_chains(frontends.name, [text for text, _ in ordered])
    return tuple(Endpoint(text, address, chain) for (text, address), chain in zip(ordered, chains, strict=True))


def choosing(endpoints: tuple[Endpoint, ...], name: str, affinity_s: int, *, large: bool) -> Iterator[str]:
    """The rules that choose an endpoint: the one that the client had last if there is affinity, else any, all equally often."""
    # A comment per endpoint is most of a large ruleset.
    about = ["" if large else f'-m comment --comment "{name} -> {each.text}" ' for each in endpoints]
    if affinity_s:
        for comment, each in zip(about, endpoints, strict=True):
            yield f"{comment}-m recent --name {each.chain} --rcheck --seconds {affinity_s} --reap -j {each.chain}"
    for left, comment, each in zip(range(len(endpoints), 0, -1), about, endpoints, strict=True):
        chance = f"-m statistic --mode random --probability {1 / left:.10f} " if left > 1 else ""
        yield f"{comment}{chance}-j {each.chain}"


def reaching(endpoint: Endpoint, name: str, protocol: str, affinity_s: int, *, large: bool) -> Rules:
    """The rules of an endpoint's own chain: what a pod sends to itself is masqueraded, or the answer would not come back."""
    comment = "" if large else f"-m comment --comment {name} "
    remember = f"-m recent --name {endpoint.chain} --set " if affinity_s else ""
    return (
        f"{comment}-s {endpoint.address} -j {chain_names.MARK_MASQ}",
        f"{comment}{remember}{protocol} -j DNAT --to-destination {endpoint.text}",
    )
