"""What the chains of iptables mode are programmed for: to translate to endpoints, or to lead elsewhere for another mode."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import Struct

from proxyconfig_agent.dataplane.iptables import lower
from proxyconfig_agent.dataplane.iptables.model import static_rules
from proxyconfig_agent.dataplane.iptables.model.ruleset import Chain, Features, Fixed, PortRules
from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.select.frontends import Frontends


class Lower(Protocol):
    def __call__(self, frontends: Frontends, settings: Settings, features: Features, *, large: bool) -> PortRules:
        """Everything that one Service port has in the tables."""
        ...


class Programming(Struct, frozen=True):
    owner: str
    """The mode that the rules belong to; another one removes or adopts them."""
    fixed: Callable[[Settings, Family, Features], Fixed] = static_rules.fixed
    hooks: tuple[tuple[Chain, str], ...] = static_rules.HOOKS
    """What leads packets to these chains."""
    lower: Lower = lower.lower
    unneeded: frozenset[str] = frozenset()
    """Extensions that these rules do without, by their names in `tools.probe.features`."""
    further: Callable[[Family], Mapping[str, tuple[str, str]]] = lambda _: {}
    """Those that these rules need besides, each with the table and a rule."""


TO_ENDPOINTS = Programming("iptables")
