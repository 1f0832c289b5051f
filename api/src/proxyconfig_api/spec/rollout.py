"""The `rollout` section of a ProxyConfig: in which steps a change reaches the nodes, and what happens if it fails.

Only the operator reads it. What an agent needs of it (probes, holdPeriod, onFailure) is written into its NodeProxy together with
the name of the revision that the node changes to, see `nodeproxy.NodeChange`; so no field here is a part of a revision, and a
change of this section alone changes nothing on any node.
"""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec

from proxyconfig_api.values.duration import Duration
from proxyconfig_api.values.intorpercent import IntOrPercent
from proxyconfig_api.values.selector import LabelSelector

RETRY_ANNOTATION = "proxyconfig.dev/retry"
"""On a ProxyConfig: a new value starts a failed rollout of the same revision again. `status.rollout.observedRetry` has the last one."""

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class OnFailure(enum.StrEnum):
    ROLLBACK = "Rollback"
    """Nodes that have the revision go back to the one before."""
    PAUSE = "Pause"
    """All nodes keep what they have."""


class ProbeProtocol(enum.StrEnum):
    TCP = "TCP"
    """A connection is established."""
    HTTP = "HTTP"
    """The answer to GET has a status from 200 to 399, as for a kubelet's probe."""
    UDP = "UDP"
    """An empty datagram is answered."""


class ProbeType(enum.StrEnum):
    """By which address of a Service, named as its types."""

    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"


class ServiceProbe(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A port of a Service; `port` is the Service's own also for a NodePort."""

    namespace: str
    name: str
    port: Port
    protocol: ProbeProtocol = ProbeProtocol.TCP
    type: ProbeType = ProbeType.CLUSTER_IP
    path: str = "/"
    """Of HTTP."""


class Probes(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """What a node asks through its own data path before and after a change. What failed before gates nothing."""

    api_server: bool = True
    """A TCP connection to the ClusterIP of default/kubernetes."""
    dns: bool = True
    """A query by UDP and one by TCP to the ClusterIP of kube-system/kube-dns; every answer will do."""
    services: tuple[ServiceProbe, ...] = ()
    pod: bool = False
    """The same once more from a pod on the node, and itself through a Service, where the mode or the takeover changes."""
    timeout_seconds: Annotated[int, msgspec.Meta(ge=1, le=30)] = 1
    """Of each probe; they run in parallel."""


class Canary(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The nodes that change first: `nodes` of all, or those that `selector` matches; one if neither is there."""

    nodes: IntOrPercent | None = None
    selector: LabelSelector | None = None


class Rollout(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    paused: bool = False
    canary: Canary = Canary()
    max_unavailable: IntOrPercent = IntOrPercent(10, is_percent=True)
    """Nodes that may be in change at once, at least one."""
    topology_key: str = ""
    """A label of nodes: never do nodes with two values of it change at once. Empty: all nodes count as one."""
    hold_period: Duration = Duration(10)
    """How long all nodes of a wave have to be healthy before the next one."""
    progress_deadline: Duration = Duration(600)
    """How long a node may take for a change, hold_period included, before it has failed."""
    max_failures: IntOrPercent = IntOrPercent(0)
    """With more failed nodes the rollout has failed."""
    on_failure: OnFailure = OnFailure.ROLLBACK
    probes: Probes = Probes()
    revision_history_limit: Annotated[int, msgspec.Meta(ge=0, le=100)] = 10
    """Old revisions to go back to, besides those that are in use."""
