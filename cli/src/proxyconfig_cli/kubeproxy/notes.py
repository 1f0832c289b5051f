"""What of a KubeProxyConfiguration is not carried over, and why: one sentence each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from proxyconfig_api.spec.sections import Mode
from proxyconfig_cli.kubeproxy.configuration import Configuration
from proxyconfig_cli.kubeproxy.fields import BY_PATH
from proxyconfig_cli.kubeproxy.sections import serves_localhost

_READS = {
    Mode.IPTABLES: ("iptables.",),
    Mode.NFTABLES: ("nftables.",),
    Mode.IPVS: ("ipvs.", "iptables.masquerade"),
    Mode.USERSPACE: ("iptables.masquerade", "iptables.syncPeriod", "iptables.minSyncPeriod"),
}
"""The fields of single modes that kube-proxy reads in each mode (conversion.go)."""
_OF_MODES = ("iptables.", "nftables.", "ipvs.")
_DETECTION = {
    "clusterCIDR": "ClusterCIDR",
    "detectLocal.bridgeInterface": "BridgeInterface",
    "detectLocal.interfaceNamePrefix": "InterfaceNamePrefix",
}
_EXTERNAL_IPS = "AllowServiceExternalIPs"


@dataclass(frozen=True, slots=True)
class Note:
    """A field or flag that is not carried over, its value as text, and a sentence that says why."""

    name: str
    value: str
    why: str


def notes(configuration: Configuration, source: Mode, target: Mode) -> tuple[Note, ...]:
    """`source`: kube-proxy's mode; `target`: the ProxyConfig's."""
    found = [note for path in configuration.changed() for note in _of_field(configuration, path, source, target)]
    if target is Mode.IPVS and serves_localhost(configuration, source):
        found.append(Note("iptables.localhostNodePorts", "true", "mode ipvs serves no node ports on 127.0.0.1"))
    return (*found, *(Note(name, "", why) for name, why in configuration.unknown.items()))


def _of_field(configuration: Configuration, path: str, source: Mode, target: Mode) -> Iterator[Note]:
    value = configuration[path]
    if path == "featureGates":
        yield from _of_gates(value)
    elif why := _why(configuration, path, source, target):
        yield Note(path, _text(value), why)


def _why(configuration: Configuration, path: str, source: Mode, target: Mode) -> str:
    """Empty for what is carried over."""
    if path.startswith(_OF_MODES) and not path.startswith(_READS[source]):
        return f"kube-proxy does not read it in mode {source}"
    if path.startswith("ipvs.") and target not in (Mode.IPVS, Mode.AUTO) and not BY_PATH[path].why:
        return f"it is for mode ipvs, and the ProxyConfig is for mode {target}"
    detection = configuration["detectLocalMode"]
    if _DETECTION.get(path, detection) != detection:
        return f"kube-proxy does not read it with detectLocalMode {detection}"
    return BY_PATH[path].why


def _of_gates(gates: dict[str, bool]) -> Iterator[Note]:
    for name, enabled in sorted(gates.items()):
        why = BY_PATH["featureGates"].why
        if name == _EXTERNAL_IPS and not enabled:
            why = "agents serve externalIPs: refuse them at the API server, with a ValidatingAdmissionPolicy or DenyServiceExternalIPs"
        yield Note(f"featureGates.{name}", _text(enabled), why)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
