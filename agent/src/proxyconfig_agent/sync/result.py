"""What a sync did, for everything that reports it: status, Events, health, metrics, benchmarks."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from msgspec import Struct, field

from proxyconfig_agent.dataplane.port import ProbeResult, Refusal, Rules
from proxyconfig_agent.ingest.model import Family


class SyncReason(enum.Enum):
    """Why there was a sync. All but CHANGE read the kernel and bring all of it to the desired state."""

    CHANGE = "change"
    START = "start"
    PERIOD = "period"
    DRIFT = "drift"
    """Somebody else has changed the kernel's rules."""
    SETTINGS = "settings"
    RETRY = "retry"

    @property
    def is_audit(self) -> bool:
        """It is to find what others did to the kernel's rules."""
        return self in (SyncReason.PERIOD, SyncReason.DRIFT)


class SyncResult(Struct, frozen=True):
    """One sync, successful if `error` is empty."""

    reason: SyncReason
    ended_at: float
    """Unix seconds."""
    took_s: float
    operations: int = 0
    """What was sent to the kernel; after a start or a disturbance, that much was missing or wrong."""
    repaired: str = ""
    """Changes of other programs that were repaired, in words; empty if there were none."""
    refused: tuple[Refusal, ...] = ()
    """All Services that are set aside now, whole or in part, sorted."""
    stages_s: Mapping[str, float] = field(default_factory=dict)
    """Seconds of decode since the last sync, of select, and of what the data plane names (read, lower, delta, commit)."""
    delays_s: tuple[tuple[Family, float], ...] = ()
    """Seconds from the change of an endpoint in the cluster to the kernel, for the Services of this sync that carry its time."""
    rules: Mapping[tuple[Family, str], Rules] = field(default_factory=dict)
    """Of iptables' tables."""
    services: int = 0
    ports: int = 0
    """Service ports, per family."""
    endpoints: int = 0
    unrecorded: str = ""
    unscheduled: str = ""
    probed: ProbeResult | None = None
    """These three as in `Outcome`."""
    configured: bool = False
    """Whether the settings that the runner was given last are in effect."""
    error: str = ""

    @property
    def full(self) -> bool:
        return self.reason is not SyncReason.CHANGE
