"""Whether a node is programmed although another proxy runs on it. Pure; `neighbour` looks for the other one."""

from __future__ import annotations

import enum

from proxyconfig_agent.node.other_proxies.arrival import Arrival, Stage
from proxyconfig_api.spec.sections import Takeover


class Stance(enum.Enum):
    SERVE = "serve"
    """The agent programs the node."""
    WAIT = "wait"
    """The other proxy serves: nothing of the node is changed before it has ended."""
    OBSERVE = "observe"
    """Nothing of the node is changed; what the agent would program is compared with the other proxy's rules."""


def stance_of(takeover: Takeover, *, other_runs: bool, serves: bool) -> Stance:
    """`serves`: rules of an agent are on the node. They are kept up to date in every case, since nobody else does that."""
    if serves:
        return Stance.SERVE
    if takeover is Takeover.OBSERVE:
        return Stance.OBSERVE
    return Stance.WAIT if takeover is Takeover.WAIT and other_runs else Stance.SERVE


def is_given_up(arrival: Arrival, stance: Stance, *, bound: bool) -> bool:
    """Whether a node that is given back is served no more: its kube-proxy serves; or the node can have no rules but such as kube-proxy may
    take for its own (`bound`), and it is not waited for; or there is nothing to give."""
    return arrival.stage is Stage.SERVING or (arrival.chains and bound) or stance is Stance.OBSERVE
