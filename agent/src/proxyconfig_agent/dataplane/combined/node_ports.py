"""What the proxy process has to do with NodePorts on loopback addresses, beside a mode that has everything else. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from proxyconfig_agent.dataplane.port import Change, Settings
from proxyconfig_agent.dataplane.userspace.lower import is_served
from proxyconfig_agent.dataplane.userspace.model.entrances import LOOPBACK
from proxyconfig_agent.ingest.model import Policy
from proxyconfig_agent.select.frontends import Backends, Frontends

_NONE = Backends(b"")


def at_localhost(settings: Settings) -> Settings:
    """Loopback addresses serve, and no other."""
    return replace(settings, localhost_node_ports=True, node_port_addresses=tuple(LOOPBACK.values()), service_cidrs=())


def node_port_of(frontends: Frontends | None) -> Frontends | None:
    """A Service port with its NodePort alone; None if it has none that the process can serve.

    Clients are processes of the node, which reach all endpoints whatever the policy is."""
    if frontends is None or not frontends.node_port or not is_served(frontends):
        return None
    return replace(
        frontends,
        cluster_ip=None,
        external_ips=(),
        load_balancer_ips=(),
        source_ranges=(),
        internal_policy=Policy.CLUSTER,
        external_policy=Policy.CLUSTER,
        local=_NONE,
    )


def node_port_change(change: Change) -> Change | None:
    """None: it does not concern NodePorts."""
    old, new = node_port_of(change.old), node_port_of(change.new)
    return None if old == new else Change(old, new)
