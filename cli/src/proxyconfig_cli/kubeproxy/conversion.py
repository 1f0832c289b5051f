"""A KubeProxyConfiguration → the ProxyConfig that behaves the same, and what cannot be carried over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from proxyconfig_api.encoding.errors import InvalidSpec, Problem
from proxyconfig_api.objects import names
from proxyconfig_api.objects.proxyconfig import ProxyConfig
from proxyconfig_api.spec.sections import Mode, ProxyConfigSpec
from proxyconfig_cli.kubeproxy import sections
from proxyconfig_cli.kubeproxy.configuration import Configuration
from proxyconfig_cli.kubeproxy.notes import Note, notes

_HOSTNAME = "kubernetes.io/hostname"


@dataclass(frozen=True, slots=True)
class Imported:
    """`manifest` is a whole ProxyConfig, valid by the rules of the API server; `spec` is its decoded spec."""

    manifest: dict[str, Any]
    spec: ProxyConfigSpec
    notes: tuple[Note, ...]


def imported(configuration: Configuration, *, name: str, mode: Mode | None = None, node: str = "") -> Imported:
    """The ProxyConfig `name` for all nodes, or for one `node`; in `mode`, else in kube-proxy's. Raises InvalidSpec."""
    source = mode_of(configuration)
    target = mode or source
    manifest = {
        "apiVersion": names.API_VERSION,
        "kind": "ProxyConfig",
        "metadata": {"name": name},
        "spec": _spec(configuration, source, target, node),
    }
    return Imported(manifest, ProxyConfig.parse(manifest).spec, notes(configuration, source, target))


def mode_of(configuration: Configuration) -> Mode:
    """kube-proxy's mode. Raises InvalidSpec for one that no kube-proxy on Linux has or had."""
    text = configuration["mode"]
    if text not in (Mode.IPTABLES, Mode.IPVS, Mode.NFTABLES, Mode.USERSPACE):
        raise InvalidSpec([Problem("mode", f"must be iptables, ipvs or nftables, kube-proxy's modes on Linux, not {text}")])
    return Mode(text)


def _spec(configuration: Configuration, source: Mode, target: Mode, node: str) -> dict[str, Any]:
    parts: dict[str, Any] = {
        "nodeSelector": {"matchLabels": {_HOSTNAME: node}} if node else {},
        "mode": target.value,
        "localTraffic": sections.local_traffic(configuration),
        "nodePorts": sections.node_ports(configuration, source, target),
        "masquerade": sections.masquerade(configuration, source),
        "conntrack": sections.conntrack(configuration),
        **sections.of_modes(configuration, source, target),
        "agent": sections.agent(configuration),
    }
    return {name: part for name, part in parts.items() if part}
