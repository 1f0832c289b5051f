"""The modes that agents have, and what each asks of an agent's pod: one line per mode, read by the operator and the agent.

A mode is available when it has a line here and a folder of its name in the agent's `dataplane/` (CONTRIBUTING.md, "To add a mode").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from proxyconfig_api.spec.sections import Mode, Takeover


class HostPath(Struct, frozen=True):
    """A file or folder of the node, at the same path in the pod; `type` as in a Pod's hostPath volume."""

    name: str
    path: str
    type: str


class PodNeeds(Struct, frozen=True):
    """Linux capabilities, without `CAP_`, and host paths of the agent's container in one mode."""

    capabilities: tuple[str, ...] = ("NET_ADMIN",)
    host_paths: tuple[HostPath, ...] = ()


# iptables-legacy reads and writes its tables through a raw socket. Its writers wait for each other at the lock file.
_IPTABLES = PodNeeds(("NET_ADMIN", "NET_RAW"), (HostPath("xtables-lock", "/run/xtables.lock", "FileOrCreate"),))

_OBSERVER = PodNeeds(("NET_ADMIN", "NET_RAW"))
"""In every mode: the kube-proxy that is observed may have its rules in iptables-legacy."""

BUILT: dict[Mode, PodNeeds] = {
    Mode.NFTABLES: PodNeeds(),
    Mode.IPTABLES: _IPTABLES,
    # On a node whose kernel has no nf_tables, chains of iptables lead to virtual servers, and to the process of userspace mode.
    Mode.IPVS: _IPTABLES,
    Mode.USERSPACE: _IPTABLES,
}


ORDER = (Mode.NFTABLES, Mode.IPTABLES, Mode.IPVS, Mode.USERSPACE)
"""In which `auto` tries them (docs/adr/0020)."""


def candidates(mode: Mode) -> tuple[Mode, ...]:
    """The modes that nodes may run for `spec.mode`, the best first."""
    return tuple(each for each in ORDER if each in BUILT) if mode is Mode.AUTO else (mode,)


def is_built(mode: Mode) -> bool:
    return any(each in BUILT for each in candidates(mode))


def pod_needs(mode: Mode, takeover: Takeover = Takeover.WAIT) -> PodNeeds:
    """What the agents' pods need for `spec.mode`, all together for `auto`, and for `spec.takeover`; of a mode that is not built, what
    every agent needs."""
    needs = [BUILT.get(each, PodNeeds()) for each in candidates(mode)] + [_OBSERVER] * (takeover is Takeover.OBSERVE)
    capabilities = dict.fromkeys(each for need in needs for each in need.capabilities)
    host_paths = dict.fromkeys(each for need in needs for each in need.host_paths)
    return PodNeeds(tuple(capabilities), tuple(host_paths))


def pod_needs_of(spec: Mapping[str, Any]) -> PodNeeds | None:
    """`pod_needs` of a spec as the API writes it; None for one of a version that has other modes."""
    try:
        mode = msgspec.convert(spec.get("mode", Mode.NFTABLES), Mode)
        takeover = msgspec.convert(spec.get("takeover", Takeover.WAIT), Takeover)
    except msgspec.ValidationError:
        return None
    return pod_needs(mode, takeover)


def choice() -> str:
    """The values of `spec.mode` that agents can do, for a sentence."""
    return " or ".join((*BUILT, Mode.AUTO))
