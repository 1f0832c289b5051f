"""What a mode is, as one value, and the modes of this agent.

Each folder `dataplane/<mode>/` has a module `mode` with its `SPEC`. A folder is imported only where it is used: each costs memory.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec import Struct, field

from proxyconfig_agent import dataplane
from proxyconfig_agent.dataplane.metric import ModeMetrics
from proxyconfig_agent.dataplane.modes.departure import Departure
from proxyconfig_agent.dataplane.modes.family_probe import FamilyProbe
from proxyconfig_agent.dataplane.modes.ownership import Ownership
from proxyconfig_agent.dataplane.modes.takeover import AllModes, Takeover
from proxyconfig_agent.dataplane.port import DataplaneError, Installed, Lifecycle, ModeInstance
from proxyconfig_agent.ingest.model import Family
from proxyconfig_api.spec import modes
from proxyconfig_api.spec.sections import Mode, ProxyConfigSpec


class ModeSpec(Struct, frozen=True, kw_only=True):
    """All that the rest of the agent knows of a mode. What its pod needs is in `proxyconfig_api.spec.modes`, for the operator."""

    make: Callable[[], ModeInstance]
    """Raises DataplaneError where the kernel has nothing of what the mode is made of."""
    left_behind: Callable[[], Iterator[Lifecycle]]
    """Itself, if it may have objects in this kernel; nothing if that is impossible. Never raises."""
    modules: tuple[str, ...] = ()
    """Kernel modules without which the mode cannot work; the init container loads them. What is really missing, `Lifecycle.probe` says."""
    optional_modules: tuple[str, ...] = ()
    """Those of one IP family, one back end or some Services: the init container loads them as well."""
    modules_of: Callable[[ProxyConfigSpec], tuple[str, ...]] = lambda _: ()
    """Those of the optional ones without which this spec cannot work, such as the scheduler's."""
    localhost_node_ports: Callable[[ProxyConfigSpec], bool] = lambda _: False
    """Whether NodePorts are served on loopback addresses."""
    localhost_families: tuple[Family, ...] = (Family.IPV4,)
    """Of which families they can be."""
    sysctls: Callable[[ProxyConfigSpec], Mapping[str, str]] = lambda _: {}
    """Values that the mode needs, by name in dots."""
    lasting_sysctls: tuple[str, ...] = ()
    """Those of them that its connections need until the mode has retired."""
    metrics: ModeMetrics = field(default_factory=ModeMetrics)
    """Those that no other mode has."""
    counters: Callable[[], Mapping[str, int]] = dict
    """The values of `metrics.packets`, by name; without those that the kernel does not count."""
    remains: Callable[[], Iterable[str]] = tuple
    """What `Lifecycle.scan` cannot see, one line per object; for `--cleanup`."""


def spec_of(mode: Mode) -> ModeSpec:
    """One that is not built is a ModeSpec that cannot be made; so is `auto`, before a mode is chosen."""
    if mode not in modes.BUILT:
        return _unbuilt(mode)
    spec = importlib.import_module(f"{dataplane.__name__}.{mode.value}.mode").SPEC
    if not isinstance(spec, ModeSpec):
        raise TypeError(f"SPEC of mode {mode.value} is no ModeSpec")
    return spec


def built() -> tuple[ModeSpec, ...]:
    return tuple(map(spec_of, modes.BUILT))


def installed(mode: Mode) -> Installed:
    """A mode that takes over from all others. Raises DataplaneError where this node cannot have it."""
    instance = FamilyProbe(spec_of(mode).make())

    def others() -> Iterator[Lifecycle]:
        return left_behind(besides=mode)

    takeover = Takeover(instance, others)
    return Installed(takeover, AllModes(instance, others, takeover), takeover)


def left_behind(besides: Mode | None = None) -> Iterator[Lifecycle]:
    """All modes, but for one, that may have objects in this kernel."""
    for mode in modes.BUILT:
        if mode is not besides:
            yield from spec_of(mode).left_behind()


def departure(*, chains_stay: bool) -> Departure:
    """Of all that agents have made here; but where `chains_stay`, those of iptables mode become kube-proxy's. Raises DataplaneError or
    OSError."""
    if not chains_stay:
        return Departure(left_behind())
    return Departure(left_behind(besides=Mode.IPTABLES), Ownership(owner=Mode.IPTABLES.value).release)


def lasting_sysctls(besides: Mode) -> frozenset[str]:
    """What the connections of all modes but one may need."""
    return frozenset(name for mode in modes.BUILT if mode is not besides for name in spec_of(mode).lasting_sysctls)


def _unbuilt(mode: Mode) -> ModeSpec:
    def make() -> ModeInstance:
        raise DataplaneError(f"spec.mode: {mode.value} is not built into this version of the agent; use {modes.choice()}")

    return ModeSpec(make=make, left_behind=lambda: iter(()))
