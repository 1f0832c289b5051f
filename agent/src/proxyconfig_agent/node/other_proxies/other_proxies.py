"""Another proxy on this node, kube-proxy above all: one that runs, and what one has left. Pure; `other_proxies_reader` looks.

Two proxies that serve the same Services undo each other's rules, or answer packets that the other was to answer.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from proxyconfig_agent.state.findings import Finding, Topic

PORT = 10249
"""Of kube-proxy's metrics, on a loopback address; /proxyMode has its mode."""

CANARY = "KUBE-PROXY-CANARY"
"""The chain by which kube-proxy notices that iptables was flushed."""

TABLE = "kube-proxy"
LINK = "kube-ipvs0"


class Seen(Struct, frozen=True):
    """What of kube-proxy there is in a network namespace. What an agent has taken over is not among it."""

    mode: str = ""
    """What a kube-proxy that runs answers; empty: none answers."""
    tables: tuple[str, ...] = ()
    """Of nftables, by family and name as nft prints them."""
    canaries: tuple[str, ...] = ()
    """Tables of iptables-nft with the canary, as nft prints them; those of iptables-legacy behind the word `legacy`."""
    link: bool = False
    virtual_servers: int = 0
    """Counted only where the link is kube-proxy's."""


NOTHING = Seen()


def finding_of(seen: Seen, *, again: bool = False, kept: Sequence[str] = (), trouble: str = "") -> Finding | None:
    """One that runs before what one has left; None: there is neither.

    `again`: what one had left was removed before; `kept`: but for this. `trouble`: why a removal has failed."""
    left = named(seen)
    if seen.mode:
        text = (
            f"a kube-proxy in {seen.mode} mode answers on 127.0.0.1:{PORT}{f' ({left})' if left else ''}: two proxies on one node disturb "
            "each other's rules; keep it off this node, for example by an affinity of its DaemonSet to nodes without the label "
            "proxyconfig.dev/config"
        )
        return Finding(Topic.OTHER_PROXY, "KubeProxyRunning", text, harmless=True)
    if left or kept or trouble:
        found = ", ".join(filter(None, (left, *kept)))
        text = f"rules of kube-proxy are on this node{f': {found}' if found else ''}; {_advice(seen, again=again, trouble=trouble)}"
        return Finding(Topic.OTHER_PROXY, "KubeProxyRulesLeft", text, harmless=True)
    return None


def waiting_finding(seen: Seen) -> Finding:
    """Why nothing is programmed on a node whose kube-proxy runs."""
    mode = f" in {seen.mode} mode" if seen.mode else ""
    text = (
        f"nothing is programmed while a kube-proxy{mode} runs on this node, whose rules serve: keep it off the node, for example "
        "by an affinity of its DaemonSet to nodes without the label proxyconfig.dev/config, or set spec.takeover to Adopt"
    )
    return Finding(Topic.TRAFFIC, "WaitingForKubeProxy", text)


def named(seen: Seen) -> str:
    """What one has left, in words."""
    parts = [f"table {table}" for table in seen.tables]
    parts += [f"chain {CANARY} in {table}" for table in seen.canaries]
    if seen.link:
        parts.append(f"link {LINK} with {seen.virtual_servers} virtual servers of ipvs")
    return ", ".join(parts)


def _advice(seen: Seen, *, again: bool, trouble: str) -> str:
    by_name = "once no kube-proxy runs here, remove them with `kube-proxy --cleanup`"
    if trouble:
        return f"the agent tries again to remove them within a minute: {trouble}"
    if seen.link:
        return f"mode ipvs takes them over with spec.ipvs.adoptKubeProxy; or {by_name}"
    if not again:
        return "an agent that serves the node removes them once two looks have found no kube-proxy running and no change is held"
    if seen.tables or seen.canaries:
        return f"they came back after the agent had removed them: is there a kube-proxy with another metricsBindAddress? {by_name}"
    return "rules of other programs lead to them: remove those, and then these"
