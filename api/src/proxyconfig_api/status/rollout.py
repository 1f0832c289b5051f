"""How far a rollout is: `status.rollout` of a ProxyConfig, written by the operator, and the state of a change on one node."""

from __future__ import annotations

import enum
from datetime import datetime

import msgspec

PROBES_LIMIT = 48
"""The most probes that a NodeProxy names."""


class RolloutPhase(enum.StrEnum):
    PROGRESSING = "Progressing"
    PAUSED = "Paused"
    """By spec.rollout.paused; some node does not have the revision."""
    FAILED = "Failed"
    """Too many nodes have failed, and all keep what they have: onFailure is Pause, or there is nothing to go back to."""
    ROLLING_BACK = "RollingBack"
    """Too many nodes have failed; nodes go back to previousRevision."""
    ROLLED_BACK = "RolledBack"
    COMPLETE = "Complete"


class RolloutStatus(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The rollout of `revision` and `pod_revision`. The nodes' own objects say the rest, so that any operator can go on at any step."""

    revision: str = ""
    previous_revision: str = ""
    """The last one whose rollout was complete: for nodes that join, and to go back to. Empty at a first installation."""
    pod_revision: str = ""
    """Of the agents' pods, which go in the same waves; empty where an operator that knew no such revisions wrote this."""
    previous_pod_revision: str = ""
    phase: RolloutPhase = RolloutPhase.PROGRESSING
    wave: int = 0
    """Counted from 1; 0 where there are none, as at a first installation."""
    waves: int = 0
    updated: int = 0
    """Nodes that run the revision and are healthy."""
    failed: int = 0
    """Nodes that were given the revision and failed."""
    aborted: int = 0
    """Nodes that were never given the revision, as the rollout failed before."""
    started_at: datetime | None = None
    """For people: nothing is measured by it."""
    message: str = ""
    observed_retry: str = ""
    """The value of the annotation with which this attempt began."""
    ignored_retry: str = ""
    """A later value of it that came while there was nothing to retry: it starts nothing, also when the rollout fails afterwards."""


class ChangePhase(enum.StrEnum):
    """Steps of a change of a node from one revision to another."""

    PREPARING = "Preparing"
    PROBING = "Probing"
    HOLDING = "Holding"
    COMMITTED = "Committed"
    ROLLED_BACK = "RolledBack"


class ProbeResult(enum.StrEnum):
    PASSED = "Passed"
    FAILED = "Failed"
    NOT_APPLICABLE = "NotApplicable"
    """It cannot be asked here, such as DNS in a cluster without; the message says why."""
    FAILED_BEFORE = "FailedBefore"
    """It fails, as it did before the change: not a consequence of it."""


class ProbeStatus(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """`name`: `apiServer`, `dns/UDP`, `dns/TCP`, or `namespace/name:port/protocol` of a Service, with `@NodePort` for its node port;
    with `@Pod` what a pod on the node asked, which asks itself as `self@Pod`; `pod` is whether that pod answers the agent;
    `conntrack/insert_failed`, `conntrack/drop`, `tcp/resets` and `icmp/unreachable` are counters of the kernel."""

    name: str
    result: ProbeResult
    message: str = ""


class ChangeStatus(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The last change of the node's revision. Without one, observedRevision and Ready alone say whether a node is updated."""

    revision: str
    """The one that the node changes to, or has gone back from."""
    phase: ChangePhase
    reason: str = ""
    """A CamelCase word, where it has gone back or cannot go on."""
    message: str = ""
    probes: tuple[ProbeStatus, ...] = ()

    @property
    def failed_probe(self) -> ProbeStatus | None:
        """The first probe that gates the change and failed."""
        return next((probe for probe in self.probes if probe.result is ProbeResult.FAILED), None)
