"""What changes of objects say about time: when a removal was requested, when an agent was last heard, which node is late."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from proxyconfig_api.objects.nodeproxy import Action, NextOrder, NodeProxy, NodeProxySpec
from proxyconfig_api.status.conditions import is_true
from proxyconfig_operator.model.objects import Config, Node, Pod
from proxyconfig_operator.model.waits import APPLY_S, Waits
from proxyconfig_operator.watch.elapsed import Elapsed


class Observations:
    """Told of each change once; work per change does not depend on the number of nodes."""

    def __init__(self, grace_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """An agent that gives no sign of life for `grace_s` counts as silent."""
        self._grace_s = grace_s
        self._removing, self._deleting, self._heard, self._behind = (Elapsed(clock) for _ in range(4))
        self._unready, self._steady, self._down = (Elapsed(clock) for _ in range(3))
        self._agent_unready, self._agent_ready = (Elapsed(clock) for _ in range(2))
        self._probing, self._awaited = Elapsed(clock), dict[str, frozenset[str]]()
        self._ready_pods: dict[str, set[str]] = {}
        self._starting: set[str] = set()

    def waits(self) -> Waits:
        """What has been seen until now."""
        return Waits(
            removing_s=self._removing.seconds(),
            deleting_s=self._deleting.seconds(),
            heard=self._heard.within(self._grace_s),
            late=self._behind.beyond(APPLY_S),
            unready_s=self._unready.seconds(),
            steady_s=self._steady.seconds(),
            agent_unready_s=self._agent_unready.seconds(),
            agent_ready_s=self._agent_ready.seconds(),
            starting=frozenset(self._starting),
            down_s=self._down.seconds(),
            probing_s=self._probing.seconds(),
        )

    def probes_awaited(self, config: str, nodes: Collection[str]) -> None:
        """The nodes whose change by a ProxyConfig waits for their probe pods: all of them, each time."""
        for node in self._awaited.pop(config, frozenset()).difference(nodes):
            self._probing.stop(node)
        for node in nodes:
            self._probing.start(node)
        if nodes:
            self._awaited[config] = frozenset(nodes)

    def heard(self, node: str) -> bool:
        """A sign of life of a node's agent; returns whether it had been silent, or had just started."""
        started = node in self._starting
        self._starting.discard(node)
        return self._heard.restart(node) >= self._grace_s or started

    def node_changed(self, old: Node | None, new: Node | None) -> None:
        if new is not None and not new.answers:
            self._down.start(new.metadata.name)
        elif (each := new or old) is not None:
            self._down.stop(each.metadata.name)
        if new is None and old is not None:
            for counted in (self._heard, self._agent_unready, self._agent_ready):
                counted.stop(old.metadata.name)
            self._starting.discard(old.metadata.name)

    def config_changed(self, old: Config | None, new: Config | None) -> None:
        for each in (old, new):
            if each is not None and new is not None and new.deleting:
                self._deleting.start(each.name)
            elif each is not None:
                self._deleting.stop(each.name)

    def proxy_changed(self, old: NodeProxy | None, new: NodeProxy | None) -> None:
        if new is None:
            if old is not None:
                for each in (self._removing, self._behind, self._unready, self._steady):
                    each.stop(old.metadata.name)
            return
        if old is not None and old.metadata.uid == new.metadata.uid and old.status != new.status:
            self.heard(new.metadata.name)
        self._count(self._removing, old, new, running=new.spec.action is not Action.APPLY)
        self._count(self._behind, old, new, running=new.spec.action is Action.APPLY and not _applied(new))
        steady = _applied(new) and is_true(new.status.conditions, "Ready")
        self._count(self._steady, old, new, running=steady)
        self._count_change(old, new, running=not steady or new.spec.next is not None)
        if old is not None and old.spec != new.spec and not self._ready_pods.get(new.metadata.name):
            self._agent_unready.restart(new.metadata.name)

    def pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        """An agent that has just started has time to report. What an earlier one reported is not taken for its report."""
        if new is not None and new.has_run and (old is None or old.starts != new.starts):
            self._heard.restart(new.spec.node_name)
            if old is not None:
                self._starting.add(new.spec.node_name)
        each = new or old
        if each is not None and each.spec.node_name:
            self._pod_ready(each, ready=new is not None and new.ready and not new.ending)

    def _pod_ready(self, pod: Pod, *, ready: bool) -> None:
        """While a pod replaces another one there are two of a node."""
        node, pods = pod.spec.node_name, self._ready_pods.setdefault(pod.spec.node_name, set())
        (pods.add if ready else pods.discard)(pod.metadata.name)
        running, other = (self._agent_ready, self._agent_unready) if pods else (self._agent_unready, self._agent_ready)
        running.start(node)
        other.stop(node)
        if not pods:
            del self._ready_pods[node]

    def _count_change(self, old: NodeProxy | None, new: NodeProxy, *, running: bool) -> None:
        """A change has one deadline, also where the pod and the revision of a node change one after the other."""
        same = old is not None and old.metadata.uid == new.metadata.uid and _goal(old.spec) == _goal(new.spec)
        if not running:
            self._unready.stop(new.metadata.name)
        elif same:
            self._unready.start(new.metadata.name)
        else:
            self._unready.restart(new.metadata.name)

    def _count(self, what: Elapsed, old: NodeProxy | None, new: NodeProxy, *, running: bool) -> None:
        """Count anew for another request, so that an answer to an earlier one is not mixed up with it."""
        if not running:
            what.stop(new.metadata.name)
        elif old is None or (old.metadata.uid, old.spec) != (new.metadata.uid, new.spec):
            what.restart(new.metadata.name)
        else:
            what.start(new.metadata.name)


def _goal(spec: NodeProxySpec) -> tuple[object, ...]:
    """What the node has when nothing follows any more."""
    goal = spec.next or NextOrder(revision_name=spec.revision_name, pod_revision=spec.pod_revision, retry=spec.change.retry)
    return spec.config_name, spec.action, goal


def _applied(proxy: NodeProxy) -> bool:
    status = proxy.status
    return status.observed_generation >= proxy.metadata.generation and status.observed_revision == proxy.spec.revision_name
