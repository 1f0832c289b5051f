"""The status of a ProxyConfig: counts, the worst nodes, conditions. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from proxyconfig_api.encoding import codec
from proxyconfig_api.objects import names
from proxyconfig_api.objects.proxyconfig import NodeCounts, ProxyConfigStatus
from proxyconfig_api.status.conditions import updated
from proxyconfig_api.status.shadow import Shadow
from proxyconfig_operator.decide.node_state import Health, NodeState, worst_of
from proxyconfig_operator.decide.plan import Plan
from proxyconfig_operator.decide.snapshot import Snapshot
from proxyconfig_operator.model.objects import Config
from proxyconfig_operator.model.writes import Apply, Resource
from proxyconfig_operator.status.conditions import Findings, deletion_updates, updates_of
from proxyconfig_operator.status.shadow import together


def status_of(config: Config, snapshot: Snapshot, plan: Plan, refusals: Sequence[str] = ()) -> ProxyConfigStatus:
    """The status to be written. `refusals`: writes that the API server did not take, as sentences."""
    target, states = snapshot.targets[config.name], _states(config, plan, snapshot)
    lost = snapshot.assignment.overlaps.get(config.name, {})
    counts = _counts(states, overlapping=len(lost), unassigned=len(snapshot.assignment.unselected))
    found = Findings(
        paused=config.spec.rollout.paused,
        target=target,
        states=states,
        counts=counts,
        lost=lost,
        refusals=refusals,
        rollout=plan.rollout,
        plan=plan.pending,
        overdue=plan.overdue,
    )
    modes = modes_of(states)
    updates = deletion_updates(plan.leaving, refusals) if config.deleting else updates_of(found)
    return ProxyConfigStatus(
        observed_generation=config.metadata.generation,
        revision=target.revision,
        rollout=plan.rollout or config.status.rollout,
        plan=plan.pending,
        summary=f"{counts.ready}/{counts.desired}",
        nodes=counts,
        modes=modes,
        mode_summary=", ".join(f"{mode}: {nodes}" for mode, nodes in modes.items()),
        shadow=together(_shadows(config, snapshot)),
        worst_nodes=worst_of(states, config.status.worst_nodes),
        conditions=updated(config.status.conditions, updates, config.metadata.generation, snapshot.now),
    )


def modes_of(states: Iterable[NodeState]) -> dict[str, int]:
    """Nodes by the mode that runs there, most nodes first."""
    return dict(sorted(Counter(state.mode for state in states if state.mode).items(), key=lambda each: (-each[1], each[0])))


def write_of(config: Config, status: ProxyConfigStatus) -> Apply:
    """Apply of a status; with the uid, a ProxyConfig that is gone is not made anew."""
    body = {
        "apiVersion": names.API_VERSION,
        "kind": "ProxyConfig",
        "metadata": {"name": config.name, "uid": config.metadata.uid},
        "status": codec.filled(codec.builtins(status)),
    }
    return Apply(Resource.PROXY_CONFIG, config.name, body, part="status")


def _states(config: Config, plan: Plan, snapshot: Snapshot) -> list[NodeState]:
    """The states of the members, worst first."""
    pod_revision = plan.rollout.pod_revision if plan.rollout is not None else ""
    states = (state.with_pods_of(pod_revision) for state in snapshot.states_of(config.name).values())
    return sorted(states, key=lambda state: (state.health, state.name))


def _shadows(config: Config, snapshot: Snapshot) -> dict[str, Shadow]:
    members = ((name, snapshot.proxies.get(name)) for name in snapshot.assignment.members[config.name])
    return {name: proxy.status.shadow for name, proxy in members if proxy is not None and proxy.status.shadow is not None}


def _counts(states: Sequence[NodeState], *, overlapping: int, unassigned: int) -> NodeCounts:
    return NodeCounts(
        desired=len(states),
        updated=sum(state.updated for state in states),
        ready=sum(state.serves for state in states),
        failing=sum(state.health in (Health.FAILING, Health.DEGRADED) for state in states),
        unreachable=sum(state.health is Health.UNREACHABLE for state in states),
        overlapping=overlapping,
        unassigned=unassigned,
    )
