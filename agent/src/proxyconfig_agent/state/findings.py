"""What was found on this node that a user should read: made by every part of the agent, put into conditions by `report`."""

from __future__ import annotations

import enum

from msgspec import Struct


class Topic(enum.Enum):
    """The condition of a NodeProxy that a finding belongs to, by its type."""

    TRAFFIC = "Programmed"
    WATCHES = "Connected"
    CONNTRACK = "ConntrackConfigured"
    MODULES = "ModulesLoaded"
    SYSCTLS = "SysctlsApplied"
    OTHER_PROXY = "OtherProxyPresent"
    """True where there is a finding: not a fault of the node's own."""
    AGENT = "Degraded"
    """About the agent itself, or a setting without a condition."""


class Source(enum.Enum):
    """The part of the agent that finds something. What it finds now replaces what it found before."""

    CHANGE = "change"
    CHECKPOINT = "checkpoint"
    CONFIGURATION = "configuration"
    CONNTRACK = "conntrack"
    GIVING_BACK = "giving back"
    HEALTH_CHECKS = "health checks"
    HEALTHZ = "healthz"
    HOST = "host"
    METRICS = "metrics"
    MODE = "mode"
    OTHER_PROXIES = "other proxies"
    OWNERSHIP = "ownership"
    SCHEDULER = "scheduler"
    SETTINGS = "settings"
    START = "start"
    SYNC = "sync"
    TAKEOVER = "takeover"
    WATCHES = "watches"


class Finding(Struct, frozen=True):
    """One fact: a reason in CamelCase for machines and a sentence for people that names field, value and fix."""

    topic: Topic
    reason: str
    message: str
    harmless: bool = False
    """Worth a word in the condition, but nothing is wrong: the condition stays True."""

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"
