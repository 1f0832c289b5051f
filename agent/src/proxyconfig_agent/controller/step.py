"""The controller's decision: the next step for this node, from what is known. Pure; `controller` carries it out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from msgspec import Struct, field

from proxyconfig_agent.checks.shadow.observer import Observed
from proxyconfig_agent.controller.stance import Stance, is_given_up, stance_of
from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.ingest.model import Address, Family, Network, Node
from proxyconfig_agent.node.addresses.families import unserved_families
from proxyconfig_agent.node.addresses.local_address import LocalAddress
from proxyconfig_agent.node.other_proxies.arrival import Arrival, Stage
from proxyconfig_agent.node.other_proxies.other_proxies import NOTHING, Seen
from proxyconfig_agent.node.other_proxies.proxy_remains import removable
from proxyconfig_agent.node.settings import listen_addresses, resolve
from proxyconfig_agent.state.findings import Finding
from proxyconfig_agent.sync.schedule import SyncIntervals, intervals_of
from proxyconfig_agent.watch.desired import Desired
from proxyconfig_api.spec.sections import Mode, ProxyConfigSpec


class Plan(Struct, frozen=True):
    """How the runner is to program the node."""

    desired: Desired
    settings: Settings
    intervals: SyncIntervals
    listen_on: tuple[Address, ...]
    """Where health check node ports listen."""
    findings: tuple[Finding, ...]
    """Settings that have another effect on this node than they seem to have."""


class Inputs(Struct, frozen=True, kw_only=True):
    """All that the decision depends on."""

    desired: Desired | None = None
    node: Node
    node_findings: tuple[Finding, ...] = ()
    """About the Node's addresses."""
    local: tuple[LocalAddress, ...] | None = None
    """None: not read yet."""
    service_cidrs: tuple[Network, ...] = ()
    other_runs: bool | None = False
    """Whether another proxy runs on the node; None: not looked yet."""
    left: Seen = NOTHING
    """What one that has ended left, and nobody keeps up to date."""
    arrival: Arrival | None = None
    """Of the kube-proxy that the node is given back to; None: to none, or not looked yet."""
    serves: bool = False
    """Rules of an agent are on the node."""
    caches_ready: bool = False
    """All Services, EndpointSlices and the Node are known, from the API server or from a checkpoint."""
    prepared: Prepare | None = None
    """What the node's sysctls and modules were brought to."""
    active_mode: Mode | None = None
    alone: bool = False
    """No other mode than the active one has anything on the node."""
    chosen_for: ProxyConfigSpec | None = None
    """The spec with mode `auto` for which the active mode was chosen."""
    unserved: Mapping[Family, str] = field(default_factory=dict)
    """The families that the active mode cannot serve here, each with what is lacking."""
    failed_for: ProxyConfigSpec | None = None
    """The spec that was asked for last, if this node cannot do its mode, and that was reported."""
    running: Plan | None = None
    """What the runner was given last; None: there is no runner."""
    over: bool = False
    """A change has ended, and the mode before is still kept for the way back."""
    settled: bool = False
    """What is desired is in the kernel, and stays until there is another order."""
    unreported: Desired | None = None
    """What is in force for good, and not reported yet as what the node runs."""
    stands: Stand | None = None
    """What the controller has reported last of a node that it does not change."""
    removed: Desired | None = None
    """The removal, or the giving back, that was carried out and proven."""
    retry_waits: bool = False
    """A probe or a removal has failed, and it is not time yet to try again."""


class Wait(Struct, frozen=True):
    """Until something changes."""


class Prepare(Struct, frozen=True):
    """Bring sysctls and modules of the node to the spec."""

    spec: ProxyConfigSpec
    alone: bool
    """The spec's mode runs, and no other one has anything on the node: what connections of others needed can be restored."""


class Probe(Struct, frozen=True):
    """Make the data plane of the spec's mode the active one, if the kernel can do it."""

    spec: ProxyConfigSpec


class Run(Struct, frozen=True):
    """Start a runner on the active data plane."""

    plan: Plan


class Reconfigure(Struct, frozen=True):
    """Give the runner another plan."""

    plan: Plan


class Commit(Struct, frozen=True):
    """The change is over: the mode before may go."""


class Report(Struct, frozen=True):
    """The status says what the node runs."""

    observed: Desired


class Discard(Struct, frozen=True):
    """Remove what another proxy has left: the node's own rules are complete, and no way back leads to these."""

    left: Seen


class Stand(Struct, frozen=True):
    """Change nothing on the node, for the other proxy on it."""

    desired: Desired
    stance: Stance
    observed: Observed | None = None
    """To compare with; None: the node does not observe, or the cluster is not known yet."""


class Remove(Struct, frozen=True):
    """Leave nothing in the kernel, and prove it by a scan."""

    desired: Desired


class GiveBack(Struct, frozen=True):
    """Leave the node to kube-proxy, and prove by a scan that nothing is left but what it takes over."""

    desired: Desired
    arrival: Arrival


Step: TypeAlias = Wait | Stand | Prepare | Probe | Run | Reconfigure | Commit | Report | Discard | Remove | GiveBack


def next_step(inputs: Inputs) -> Step:
    """What to do next. Carried out, it changes the inputs so that another step follows, and at last `Wait`.

    A change ends before the next one begins, however soon that is ordered: else the next one would go back to where this one began."""
    desired = inputs.desired
    if desired is None:
        return Wait()
    if desired.remove:
        return _end(Remove(desired), inputs)
    if inputs.other_runs is None:
        return Wait()
    if inputs.over:
        return Commit()
    stance = stance_of(desired.spec.takeover, other_runs=inputs.other_runs, serves=inputs.serves)
    if desired.give_back and (inputs.arrival is None or is_given_up(inputs.arrival, stance, bound=_is_bound(desired.spec, inputs))):
        return Wait() if inputs.arrival is None else _end(GiveBack(desired, inputs.arrival), inputs)
    return _apply(desired, inputs) if stance is Stance.SERVE else _stand(_stand_of(desired, stance, inputs), inputs)


def _is_bound(spec: ProxyConfigSpec, inputs: Inputs) -> bool:
    """Whether a node that has chains with kube-proxy's names cannot go over to rules of nftables mode, or is not to."""
    return spec.mode is not Mode.NFTABLES or inputs.failed_for == spec


def _end(end: Remove | GiveBack, inputs: Inputs) -> Step:
    return Wait() if inputs.removed == end.desired or inputs.retry_waits else end


def _stand_of(desired: Desired, stance: Stance, inputs: Inputs) -> Stand:
    if stance is not Stance.OBSERVE or inputs.local is None or not inputs.caches_ready:
        return Stand(desired, stance)
    return Stand(desired, stance, Observed(_plan_of(desired, inputs, inputs.local).settings, inputs.local))


def _stand(stand: Stand, inputs: Inputs) -> Step:
    if stand != inputs.stands:
        return stand
    return Report(inputs.unreported) if inputs.unreported is not None else Wait()


def _apply(desired: Desired, inputs: Inputs) -> Step:
    """Sysctls and modules are prepared for a mode before it is probed; for `auto`, once it is known which one runs, or that none does."""
    spec = _in_effect(desired.spec, inputs)
    undecided = spec.mode is Mode.AUTO and inputs.failed_for is None
    prepare = Prepare(spec, inputs.alone and inputs.active_mode is spec.mode)
    if prepare != inputs.prepared and not undecided:
        return prepare
    if not _is_active(desired.spec, inputs):
        return Wait() if inputs.retry_waits else Probe(desired.spec)
    if inputs.local is None or not inputs.caches_ready:
        return Wait()
    return _run(_plan_of(desired, inputs, inputs.local), inputs)


def _in_effect(spec: ProxyConfigSpec, inputs: Inputs) -> ProxyConfigSpec:
    """The spec with the mode that runs in the place of `auto`; `auto` as long as none does."""
    return spec.as_mode(inputs.active_mode) if spec.mode is Mode.AUTO and inputs.active_mode is not None else spec


def _is_active(spec: ProxyConfigSpec, inputs: Inputs) -> bool:
    return inputs.chosen_for == spec if spec.mode is Mode.AUTO else inputs.active_mode is spec.mode


def _run(plan: Plan, inputs: Inputs) -> Step:
    if inputs.running is None:
        return Run(plan)
    if plan != inputs.running or inputs.failed_for is not None:
        return Reconfigure(plan)
    if inputs.unreported is not None and _may_be_reported(inputs.unreported, inputs):
        return Report(inputs.unreported)
    left = removable(inputs.left, plan.desired.spec.takeover, inputs.active_mode)
    goes = inputs.settled and not plan.desired.give_back and left != NOTHING
    return Discard(left) if goes else Wait()


def _may_be_reported(desired: Desired, inputs: Inputs) -> bool:
    """Of a node that is given back, when no other mode has anything that a kube-proxy deletes at its start: it may come then."""
    return inputs.alone or not desired.give_back


def _plan_of(desired: Desired, inputs: Inputs, local: tuple[LocalAddress, ...]) -> Plan:
    settings, findings = resolve(_in_effect(desired.spec, inputs), inputs.node, local, inputs.service_cidrs)
    unserved = unserved_families(inputs.unserved, inputs.node, settings.service_cidrs)
    taken = inputs.arrival is not None and inputs.arrival.stage is not Stage.AWAY  # a kube-proxy opens them once
    listen_on = () if taken else listen_addresses(settings, local)
    return Plan(desired, settings, intervals_of(desired.spec), listen_on, (*inputs.node_findings, *findings, *unserved))
