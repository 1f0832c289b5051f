"""The `agent` section of a ProxyConfig: the pods that the agents run in. A change of it restarts them; the kernel keeps its rules."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import msgspec


class PullPolicy(enum.StrEnum):
    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


class LogLevel(enum.StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(enum.StrEnum):
    JSON = "json"
    TEXT = "text"


class Resources(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Quantities by resource name, as in a container. They are passed on, not computed with."""

    requests: Mapping[str, str | int] = msgspec.field(default_factory=lambda: {"cpu": "20m", "memory": "96Mi"})
    limits: Mapping[str, str | int] = msgspec.field(default_factory=dict)


class Toleration(msgspec.Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """As in a pod."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""
    toleration_seconds: int | None = None


class PullSecret(msgspec.Struct, frozen=True, rename="camel"):
    """The name of a Secret in the operator's namespace."""

    name: str


class Agent(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    image: str = ""
    """Empty: the one that the operator was installed with."""
    image_pull_policy: PullPolicy = PullPolicy.IF_NOT_PRESENT
    image_pull_secrets: tuple[PullSecret, ...] = ()
    resources: Resources = Resources()
    tolerations: tuple[Toleration, ...] = (Toleration(operator="Exists"),)
    log_level: LogLevel = LogLevel.INFO
    log_format: LogFormat = LogFormat.JSON
    healthz_bind_address: str = ":10256"
    metrics_bind_address: str = "127.0.0.1:10249"
    """Of both addresses, empty turns the server off."""
