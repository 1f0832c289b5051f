"""Revisions of the agents' pods: templates of the DaemonSet in ControllerRevisions, so that there is something to go back to. Pure.

A revision is named after its content. Pods have its name in a label, by which they are known to be of it or not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from proxyconfig_api.objects import names
from proxyconfig_api.objects.revision import revision_of, written
from proxyconfig_api.rollout.release import given_of, goal_of
from proxyconfig_api.rollout.request import Fits
from proxyconfig_api.spec import modes
from proxyconfig_api.status.rollout import RolloutPhase, RolloutStatus
from proxyconfig_operator.decide import agent_daemonset, revisions
from proxyconfig_operator.decide.snapshot import Snapshot
from proxyconfig_operator.model.objects import Config
from proxyconfig_operator.model.writes import Apply, Delete, Resource, Write
from proxyconfig_operator.rollout.planner import Step


def created(config: Config, manifest: Mapping[str, Any], snapshot: Snapshot) -> Iterator[Apply]:
    """The revision of a DaemonSet's template, if there is none yet."""
    name = _object_name(config.name, agent_daemonset.pod_revision_of(manifest))
    if name not in snapshot.revisions:
        number = 1 + max((each.revision for each in snapshot.pod_revisions_of(config.name)), default=0)
        data = {"template": manifest["spec"]["template"], "spec": {"agent": written(config.spec.agent)}}
        yield revisions.create(config, name, data, number, revisions.POD_COMPONENT)


def daemonset(config: Config, manifest: Mapping[str, Any], step: Step, snapshot: Snapshot) -> Iterator[Apply]:
    """The DaemonSet with the template that the rollout is at, if it is not so already. `manifest` has the one of the spec.

    Where the template of the rollout is not known, as after an upgrade of the operator while paused, it is left alone."""
    template = _template(step.template, config, manifest, snapshot)
    yield from _applied(config, manifest, template, snapshot)


def as_it_is(config: Config, snapshot: Snapshot) -> Iterator[Apply]:
    """The DaemonSet with the template that it has, if it does not keep pods on nodes that leave."""
    if snapshot.daemonset_of(config.name) is not None:
        yield from _applied(config, agent_daemonset.render(config, snapshot.installation), None, snapshot)


def keeps_leaving(config: str, snapshot: Snapshot) -> bool:
    """Whether the DaemonSet keeps its pods on nodes that leave."""
    existing = snapshot.daemonset_of(config)
    return existing is None or names.LEAVING_LABEL in json.dumps(existing.spec["template"]["spec"].get("affinity"))


def _applied(config: Config, manifest: Mapping[str, Any], template: Mapping[str, Any] | None, snapshot: Snapshot) -> Iterator[Apply]:
    existing = snapshot.daemonset_of(config.name)
    if template is None and existing is not None:
        template = existing.spec["template"]
    wanted = agent_daemonset.with_template(manifest, template) if template is not None else manifest
    if agent_daemonset.differs(wanted, existing):
        yield Apply(Resource.DAEMON_SET, agent_daemonset.name_of(config.name), wanted)


def outdated(config: Config, step: Step, snapshot: Snapshot) -> Iterator[Delete]:
    """The pods of nodes that were given another one, and are ordered nothing else now, where the DaemonSet makes that one."""
    existing = snapshot.daemonset_of(config.name)
    made = existing.pod_revision if existing is not None else ""
    agents = snapshot.agents_of(config.name) if made else {}
    for name in snapshot.assignment.members[config.name]:
        pod, given = agents.get(name), given_of(snapshot.proxies.get(name), config.name)
        stays = step.orders.get(name, given) == given
        if pod is not None and not pod.ending and stays and given.pod_revision == made != pod.pod_revision:
            yield Delete(Resource.POD, pod.metadata.name, pod.metadata.uid)


def superseded(config: Config, manifest: Mapping[str, Any], rollout: RolloutStatus, snapshot: Snapshot) -> tuple[Write, ...]:
    """Those that no node has, and none may go back to."""
    orders = [each(proxy, config.name) for proxy in snapshot.proxies.values() for each in (given_of, goal_of)]
    given = {each.pod_revision for each in orders}
    earlier = set() if rollout.phase is RolloutPhase.COMPLETE else {rollout.previous_pod_revision}
    in_use = given | earlier | {rollout.pod_revision, agent_daemonset.pod_revision_of(manifest)}
    kept = {_object_name(config.name, each) for each in in_use}
    return revisions.superseded(snapshot.pod_revisions_of(config.name), kept, 0)


def known(config: str, snapshot: Snapshot) -> frozenset[str]:
    """Those that there are to go back to."""
    return frozenset(templates_of(config, snapshot))


def templates_of(config: str, snapshot: Snapshot) -> Mapping[str, Mapping[str, Any]]:
    """The templates of those that are stored, by name."""
    start = len(_object_name(config, ""))
    return {
        each.metadata.name[start:]: (each.data or {})["template"]
        for each in snapshot.pod_revisions_of(config)
        if "template" in (each.data or {})
    }


def fits_of(config: Config, manifest: Mapping[str, Any], snapshot: Snapshot) -> Fits:
    """Which revisions can run in which pods: those of `config`, and those of its spec, which may not be stored yet: `manifest` has its
    template."""
    needed = {each.metadata.name: modes.pod_needs_of((each.data or {}).get("spec", {})) for each in snapshot.revisions_of(config.name)}
    needed[revision_of(config.name, config.spec).name] = modes.pod_needs(config.spec.mode, config.spec.takeover)
    granted = {name: agent_daemonset.granted_by(template) for name, template in templates_of(config.name, snapshot).items()}
    granted[agent_daemonset.pod_revision_of(manifest)] = agent_daemonset.granted_by(manifest["spec"]["template"])

    def fits(revision: str, pod_revision: str) -> bool:
        needs, grants = needed.get(revision), granted.get(pod_revision)
        return needs is not None and grants is not None and agent_daemonset.names_of(needs) <= grants

    return fits


def spec_of(config: str, revision: str, snapshot: Snapshot) -> Mapping[str, Any]:
    """The section of the spec, by its name, that a revision was first made of; empty if that is not known."""
    stored = snapshot.revisions.get(_object_name(config, revision))
    spec: Mapping[str, Any] = (stored.data or {}).get("spec", {}) if stored is not None else {}
    return spec


def _template(revision: str, config: Config, manifest: Mapping[str, Any], snapshot: Snapshot) -> Mapping[str, Any] | None:
    if revision == agent_daemonset.pod_revision_of(manifest):
        template: Mapping[str, Any] = manifest["spec"]["template"]
        return template
    stored = snapshot.revisions.get(_object_name(config.name, revision)) if revision else None
    return stored.data.get("template") if stored is not None and stored.data is not None else None


def _object_name(config: str, revision: str) -> str:
    return f"{config}-pods-{revision}"
