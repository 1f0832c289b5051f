"""NodeProxy: what one node is to do, and what it does. Named after the node and owned by it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from proxyconfig_api.encoding import codec
from proxyconfig_api.objects.metadata import Metadata
from proxyconfig_api.spec.rollout import OnFailure, Probes
from proxyconfig_api.status.conditions import NOT_OBSERVED, Condition
from proxyconfig_api.status.rollout import ChangeStatus
from proxyconfig_api.status.shadow import Shadow
from proxyconfig_api.values.duration import Duration

QUARANTINED_LIMIT = 20
"""The most Services that a status names."""


class Action(enum.StrEnum):
    APPLY = "Apply"
    REMOVE = "Remove"
    """Take everything out of the kernel, restore what was remembered, and report."""
    GIVE_BACK = "GiveBack"
    """Serve the node until a kube-proxy does, in the place of modes iptables and ipvs in mode nftables; then take everything out of the
    kernel, but keep sysctls."""


class ProbePod(msgspec.Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """The pod on the node that probes a change, as it was when the revision was given to the node."""

    uid: str = ""
    """The pod answers who knows it."""
    addresses: tuple[str, ...] = ()
    """IP addresses; at `names.PROBE_PORT` it answers. None: there is no pod that could."""
    message: str = ""
    """Why there is none."""


class NodeChange(msgspec.Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """How the node changes to its revision: of spec.rollout, as it was when the revision was given to the node."""

    probes: Probes = Probes()
    hold_period: Duration = Duration(0)
    """How long the node keeps the old rules ready to go back to."""
    on_failure: OnFailure = OnFailure.PAUSE
    """Whether the node goes back by itself, or keeps the revision and reports."""
    pod: ProbePod | None = None
    """None: nothing is asked from a pod."""
    retry: str = ""
    """The value of RETRY_ANNOTATION with which the node got the revision. With another one it begins a failed change anew."""


class NextOrder(msgspec.Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """What the node is on its way to, where its pod and its revision change one after the other."""

    revision_name: str
    pod_revision: str
    retry: str = ""
    """As in NodeChange."""


class NodeProxySpec(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Written by the operator alone."""

    config_name: str
    revision_name: str
    """The name of a ControllerRevision in the operator's namespace."""
    pod_revision: str = ""
    """The value of POD_REVISION_LABEL that the agent's pod is to have; empty: any."""
    action: Action = Action.APPLY
    change: NodeChange = NodeChange()
    next: NextOrder | None = None
    """What follows when this is done; None: nothing."""


class Quarantined(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A Service that could not be programmed, as `namespace/name`, and why."""

    service: str
    reason: str


class Drift(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """What another program changed in our part of the kernel, and was repaired."""

    repairs: int = 0
    last_repair: datetime | None = None
    what: str = ""


class ModeStatus(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The mode that the spec asks for, the one that runs, and why it is that one."""

    desired: str = ""
    effective: str = ""
    """Empty: none runs."""
    reason: str = ""
    message: str = ""


class ModuleState(enum.StrEnum):
    """What the node's kernel has of a module."""

    LOADED = "Loaded"
    BUILT_IN = "BuiltIn"
    NOT_LOADED = "NotLoaded"
    """The node has it, and the kernel may load it with the rules that use it."""
    MISSING = "Missing"
    NOT_PERMITTED = "NotPermitted"
    UNKNOWN = "Unknown"
    """Nothing on the node says what its kernel has built in."""


class Module(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A kernel module; the message has the command or the option of the kernel that brings it."""

    name: str
    state: ModuleState
    message: str = ""


class Modules(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The modules of the mode that runs and of `spec.kernel.modules`."""

    summary: str = ""
    """How many are in which state, for people and columns."""
    items: tuple[Module, ...] = ()


class Removed(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The proof of a removal: how many objects a scan of the kernel still found."""

    objects: int


class NodeProxyStatus(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Written by the node's agent alone."""

    observed_generation: int = NOT_OBSERVED
    observed_revision: str = ""
    change: ChangeStatus | None = None
    mode: ModeStatus = ModeStatus()
    version: str = ""
    """Of the agent."""
    shadow: Shadow | None = None
    services: int = 0
    endpoints: int = 0
    quarantined: tuple[Quarantined, ...] = ()
    capabilities: Mapping[str, str] = msgspec.field(default_factory=dict)
    modules: Modules = Modules()
    drift: Drift = Drift()
    removed: Removed | None = None
    conditions: tuple[Condition, ...] = ()

    @property
    def reported(self) -> bool:
        """Whether the agent has reported about some generation of the spec."""
        return self.observed_generation > 0


class NodeProxy(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    metadata: Metadata
    spec: NodeProxySpec
    status: NodeProxyStatus = NodeProxyStatus()

    @classmethod
    def parse(cls, manifest: Mapping[str, Any] | bytes) -> NodeProxy:
        """A NodeProxy from its JSON, or from what a JSON reader made of it. Raises InvalidSpec."""
        return codec.decode(manifest, cls)
