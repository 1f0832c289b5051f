"""The sign of life of a node's agent: a coordination.k8s.io Lease that the agent renews and the operator watches.

The agent renews it while the NodeProxy's status in the API server is the newest one: it vouches for what that status says.
An observer measures, by its own monotonic clock, how long the Lease has not *changed*; `renewTime` is for people, as clocks of two
machines may disagree. The NodeProxy owns its Lease, so both go together.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from proxyconfig_api.objects import names

NAMESPACE = names.NAMESPACE

LABELS: Mapping[str, str] = MappingProxyType({"app.kubernetes.io/name": names.AGENT, "app.kubernetes.io/component": "heartbeat"})
"""On every such Lease, and on no other."""

SELECTOR = ",".join(f"{key}={value}" for key, value in LABELS.items())

RENEW_S = 40.0
"""The longest pause between two renewals; each pause is 75 to 100 % of it at random, 143 writes/s in all of 5,000 nodes (kubelets: 500)."""

GRACE_S = 120.0
"""A Lease that has not changed for so long has expired: three renewals in a row have failed. Also its `leaseDurationSeconds`."""

_PREFIX = "agent-"  # the leader's Lease is in the same namespace, and a node may have any name


def lease_of(node: str) -> str:
    """The name of a node's Lease."""
    return _PREFIX + node


def node_of(lease: str) -> str:
    """The node of a Lease that has the LABELS; empty for a name that `lease_of` does not make."""
    return lease.removeprefix(_PREFIX) if lease.startswith(_PREFIX) else ""
