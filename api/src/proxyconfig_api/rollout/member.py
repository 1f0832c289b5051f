"""A node of a ProxyConfig as a rollout sees it (pure)."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from proxyconfig_api.rollout.release import NONE, Release


class Standing(enum.Enum):
    """How a node does on the release that it was given last."""

    HEALTHY = "healthy"
    """It runs the release, and has been healthy for the hold period."""
    HOLDING = "holding"
    """It runs the release and is healthy; the hold period is not over."""
    CHANGING = "changing"
    """It does not run the release yet, or its agent is starting."""
    FAILED = "failed"
    """It reports a failure, or has gone back by itself."""
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Member:
    name: str
    release: Release
    """The one it was given, or is on its way to; empty if none of this ProxyConfig."""
    standing: Standing
    retry: str = ""
    """The attempt at the release with which it was given."""
    pod_revision: str = ""
    """Of the agent's pod that it has; empty if it has none."""
    group: str = ""
    """Its value of spec.rollout.topologyKey."""
    canary: bool = False
    """Whether spec.rollout.canary.selector matches it."""
    late: bool = False
    """Whether it has not been healthy for longer than spec.rollout.progressDeadline."""
    left_s: float | None = None
    """When time alone changes its standing, or makes it late."""
    words: str = ""
    """Why it is not healthy."""
    held: Release = NONE
    """What it is ordered now: the release, or something on the way to it."""
    runs: str = ""
    """The revision that its agent reports; empty if that is not known."""
    agent_ready: bool = False
    """Whether it has the pod that it is ordered, and the agent in it is at work."""
    held_healthy: bool = False
    """Whether it does well on what it holds, and did for the hold period."""
    unobserved: bool = False
    """Whether its agent has not answered the last order."""
    awaits_s: float = 0.0
    """How much longer, at most, its change waits for its probe pod."""

    @property
    def is_under_way(self) -> bool:
        """Whether another order follows the one that it has."""
        return self.held != self.release

    @property
    def in_change(self) -> bool:
        """Whether its agent may be changing the node's revision, and is expected to finish that."""
        return self.unobserved and not self.late and (self.agent_ready or self.standing is not Standing.FAILED)

    @property
    def serves(self) -> bool:
        return self.standing in (Standing.HEALTHY, Standing.HOLDING)

    @property
    def failed(self) -> bool:
        """By its own report, or as its time is over."""
        return self.standing is Standing.FAILED or (self.late and self.standing is not Standing.HEALTHY)

    @property
    def changing(self) -> bool:
        """Whether the outcome of the change is open."""
        return not self.failed and self.standing is not Standing.HEALTHY
