"""What can be done about another proxy on the node, as the controller's inputs use it."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from proxyconfig_agent.node.other_proxies.arrival import Running
from proxyconfig_agent.node.other_proxies.other_proxies import Seen


class OtherProxy(Struct, frozen=True):
    """All but `leave_port` block."""

    look: Callable[[], Seen]
    remove: Callable[[Seen], list[str]]
    """Take away what one has left; what a scan still finds of it. Raises DataplaneError, OSError."""
    running: Callable[[], Running]
    """The kube-proxy that answers, and how far it is."""
    has_chains: Callable[[], bool]
    """Whether the agent's own rules are chains with kube-proxy's names."""
    leave_port: Callable[[bool], None]
    """Close the port of the agent's metrics, which a kube-proxy needs, or open it again."""
