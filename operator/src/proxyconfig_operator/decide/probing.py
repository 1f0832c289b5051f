"""Changes that a pod on the node probes: which they are, how long they wait for the pod, and when it comes and goes. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from proxyconfig_api.objects import names
from proxyconfig_api.objects.nodeproxy import NodeProxy, ProbePod
from proxyconfig_api.rollout.release import given_of
from proxyconfig_api.spec.sections import Mode, Takeover
from proxyconfig_api.status.rollout import ChangePhase
from proxyconfig_operator.decide import revisions
from proxyconfig_operator.decide.node_state import change_of
from proxyconfig_operator.decide.snapshot import Snapshot
from proxyconfig_operator.model import probe_pods
from proxyconfig_operator.model.objects import Config
from proxyconfig_operator.model.writes import Apply, Delete, Resource, Write
from proxyconfig_operator.rollout.planner import Step

_ENDED = (ChangePhase.COMMITTED, ChangePhase.ROLLED_BACK)


def awaits_s(node: str, config: Config, snapshot: Snapshot) -> float:
    """For how long at most the next change of a node waits for its probe pod."""
    held = given_of(snapshot.proxies.get(node), config.name).revision
    if not _is_probed(held, snapshot.targets[config.name].revision, config, snapshot):
        return 0.0
    if probe_pods.is_settled(snapshot.probe_pod_of(node, config.name)):
        return 0.0
    return max(0.0, probe_pods.START_S - snapshot.waits.probing_s.get(node, 0.0))


def pod_of(node: str, revision: str, config: Config, snapshot: Snapshot) -> ProbePod | None:
    """What the NodeProxy has of the pod that probes the change to `revision`: in another attempt at the same one, what it had before."""
    proxy = snapshot.proxies.get(node)
    held = given_of(proxy, config.name).revision
    if _is_probed(held, revision, config, snapshot):
        return probe_pods.report_of(snapshot.probe_pod_of(node, config.name))
    return proxy.spec.change.pod if proxy is not None and held == revision else None


def writes_of(config: Config, step: Step | None, snapshot: Snapshot) -> Iterator[Write]:
    """Make the pods that changes wait for, and delete those whose nodes have changed."""
    awaited, moves = (step.awaited, step.moves) if step is not None else ((), {})
    for node in awaited:
        if probe_pods.name_of(node) not in snapshot.probe_pods and awaits_s(node, config, snapshot) > 0:
            yield _made(node, config, snapshot)
    yield from _deleted(config, {*awaited, *moves}, snapshot)


def _made(node: str, config: Config, snapshot: Snapshot) -> Apply:
    namespace, image = snapshot.installation.namespace, config.spec.agent.image or snapshot.installation.agent_image
    body = probe_pods.manifest(node, config, revisions.owner(config), namespace=namespace, image=image)
    return Apply(Resource.POD, body["metadata"]["name"], body)


def _deleted(config: Config, moving: Collection[str], snapshot: Snapshot) -> Iterator[Delete]:
    for name, pod in sorted(snapshot.probe_pods.items()):
        proxy = snapshot.proxies.get(pod.spec.node_name)
        kept = pod.spec.node_name in moving or (proxy is not None and _is_in_change(proxy))
        if pod.metadata.label(names.CONFIG_LABEL) == config.name and not (kept or pod.ending):
            yield Delete(Resource.POD, name, pod.metadata.uid)


def _is_in_change(proxy: NodeProxy) -> bool:
    """Whether the agent of a node may be changing the node's revision, or is about to."""
    change = change_of(proxy)
    unobserved = proxy.status.observed_generation < proxy.metadata.generation
    return proxy.spec.next is not None or unobserved or (change is not None and change.phase not in _ENDED)


def _is_probed(held: str, revision: str, config: Config, snapshot: Snapshot) -> bool:
    """Whether pods get another data path by a change from `held` to `revision`: another mode, or another proxy."""
    return config.spec.rollout.probes.pod and bool(held) and _path_of(held, config, snapshot) != _path_of(revision, config, snapshot)


def _path_of(revision: str, config: Config, snapshot: Snapshot) -> tuple[str, str]:
    """Mode and takeover of a revision; of one that is not stored yet, which is that of the spec, as the spec has them."""
    stored, spec = snapshot.revisions.get(revision), config.spec
    if stored is None:
        return spec.mode, spec.takeover
    of: Mapping[str, Any] = (stored.data or {}).get("spec", {})
    return str(of.get("mode", Mode.NFTABLES)), str(of.get("takeover", Takeover.WAIT))
