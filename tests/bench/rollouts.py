"""What a rollout costs the operator, on simulated nodes: `python -m tests.bench.rollouts [--nodes 5000]`.

The operator's caches, planner and reconciler are the real ones, and so is its clock but for the hold periods; an API server and agents
are values in this process that take every write at once. So the numbers are the operator's own work: CPU of its passes, its writes, its
memory. What an API server needs for these writes, and nodes for a change, comes on top.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import structlog
from tests.unit.operator.builders import INSTALLATION, config, node, pod

from proxyconfig_api.encoding import codec
from proxyconfig_api.objects import names
from proxyconfig_api.objects.nodeproxy import NodeProxy
from proxyconfig_api.status.rollout import RolloutPhase
from proxyconfig_client.watch.objects import Key
from proxyconfig_operator.apply.reconciler import Reconciler
from proxyconfig_operator.model.objects import Config, DaemonSet, Revision
from proxyconfig_operator.model.writes import Apply, Delete, Label, Resource, Write
from proxyconfig_operator.watch.caches import Caches
from proxyconfig_operator.watch.observations import Observations

SPEC: dict[str, Any] = {"rollout": {"holdPeriod": "10s"}}
CHANGES: dict[str, dict[str, Any]] = {
    "first installation": {},
    "a field": {"conntrack": {"min": 7}},
    "an image": {"agent": {"image": "registry.test/agent:2"}},
    "a mode": {"mode": "iptables"},
}
PASSES = 10_000
READY = {"type": "Ready", "status": "True", "reason": "Synced", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}


class SimulatedTime:
    """Monotonic seconds: the process's own, and what a hold period would have taken."""

    def __init__(self) -> None:
        self.skipped_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.skipped_s


@dataclass
class Server:
    """Takes writes, and shows them to the operator's caches at once. Nodes do what they were given as soon as `work` is called."""

    caches: Caches
    writes: Counter[str] = field(default_factory=Counter)
    _changed: dict[str, NodeProxy] = field(default_factory=dict)
    _podless: set[str] = field(default_factory=set)
    _generations: Counter[str] = field(default_factory=Counter)
    _pods: int = 0

    async def write(self, writes: Iterable[Write]) -> Sequence[object]:
        for each in writes:
            match each:
                case Apply():
                    self.writes[each.resource.value + ("/status" if each.part else "")] += 1
                    self._apply(each)
                case Delete():
                    self.writes[f"delete {each.resource.value}"] += 1
                    self._delete(each)
                case Label():
                    self.writes[Resource.NODE.value] += 1
                    self._podless.add(each.node)
                    self.caches.nodes.on_upsert(node(each.node, **{key: value for key, value in each.labels.items() if value}))
        return ()

    async def post(self, *_: object, **__: object) -> None:
        self.writes["Event"] += 1

    def work(self) -> None:
        """Let the DaemonSet controller, kubelets and agents do what there is to do."""
        (template,) = (each.pod_revision for each in self.caches.daemonsets.items.values())
        for name in sorted(self._podless):
            self._pods += 1
            self.caches.pods.on_upsert(pod(f"agent-{self._pods}", name, pods=template))
        self._podless.clear()
        for proxy in self._changed.values():
            status = {"observedGeneration": proxy.metadata.generation, "observedRevision": proxy.spec.revision_name, "conditions": [READY]}
            self.caches.proxies.on_upsert(msgspec.structs.replace(proxy, status=codec.decode(status, type(proxy.status))))
        self._changed.clear()

    def _apply(self, write: Apply) -> None:
        metadata = {"uid": f"uid-{write.name}", **write.body["metadata"]}
        match write.resource:
            case Resource.NODE_PROXY:
                self._generations[write.name] += 1
                body = {"metadata": metadata | {"generation": self._generations[write.name]}, "spec": write.body["spec"]}
                self._changed[write.name] = codec.decode(body, NodeProxy)
                self.caches.proxies.on_upsert(self._changed[write.name])
            case Resource.DAEMON_SET:
                self.caches.daemonsets.on_upsert(msgspec.convert(dict(write.body) | {"metadata": metadata}, DaemonSet))
            case Resource.REVISION:
                self.caches.revisions.on_upsert(msgspec.convert(dict(write.body) | {"metadata": metadata}, Revision))
            case Resource.PROXY_CONFIG:
                self._apply_config(write)

    def _apply_config(self, write: Apply) -> None:
        known = self.caches.configs.items[write.name]
        if write.part:
            status = codec.decode(write.body["status"], type(known.status))
            self.caches.configs.on_upsert(Config(known.metadata, known.spec, status))
        else:
            held = msgspec.structs.replace(known.metadata, finalizers=tuple(write.body["metadata"]["finalizers"]))
            self.caches.configs.on_upsert(Config(held, known.spec, known.status))

    def _delete(self, write: Delete) -> None:
        if write.resource is Resource.POD:
            self._podless.add(self.caches.pods.items[write.name].spec.node_name)
            self.caches.pods.on_delete(Key(names.NAMESPACE, write.name))
        else:
            self.caches.revisions.on_delete(Key(names.NAMESPACE, write.name))


@dataclass(frozen=True)
class Measured:
    waves: int
    passes: int
    cpu_s: float
    worst_s: float
    """CPU of the longest pass."""
    writes: dict[str, int]

    def __str__(self) -> str:
        writes = ", ".join(f"{kind} {number}" for kind, number in sorted(self.writes.items()))
        per_wave_s = self.cpu_s / max(1, self.waves)
        cpu = f"{self.cpu_s:.1f} s of CPU: {per_wave_s:.2f} a wave, {self.worst_s:.2f} the longest pass"
        return f"{self.waves} waves in {self.passes} passes, {cpu}\n  writes: {writes}"


async def rolled_out(server: Server, reconciler: Reconciler, clock: SimulatedTime) -> Measured:
    """Reconcile until the rollout is complete; between two passes nodes work, and a hold period goes by."""
    server.writes.clear()
    took: list[float] = []
    for _ in range(PASSES):
        began = time.process_time()
        await reconciler.reconcile("x")
        took.append(time.process_time() - began)
        server.work()
        clock.skipped_s += 11.0
        rollout = server.caches.configs.items["x"].status.rollout
        if rollout is not None and rollout.phase is RolloutPhase.COMPLETE and len(took) > 1:
            return Measured(rollout.waves, len(took), sum(took), max(took), dict(server.writes))
    raise AssertionError("the rollout does not end")


async def measured(nodes: int) -> None:
    """Install, change a field, an image and the mode; print each."""
    clock = SimulatedTime()
    caches = Caches(lambda _: None, Observations(float("inf"), clock))
    server = Server(caches)
    reconciler = Reconciler(caches, server, server, INSTALLATION, 120)
    empty_mib = rss_mib()
    for number in range(nodes):
        caches.nodes.on_upsert(node(f"node-{number:05}"))
    spec, status = SPEC, config(**SPEC).status
    for what, change in CHANGES.items():
        spec = spec | change
        each = config(finalizers=(names.FINALIZER,), **spec)
        caches.configs.on_upsert(Config(each.metadata, each.spec, status))
        print(f"{what}: {await rolled_out(server, reconciler, clock)}", flush=True)
        status = caches.configs.items["x"].status
    print(f"memory: {rss_mib()} MiB resident, {rss_mib() - empty_mib} more than without nodes")


def rss_mib() -> int:
    """The most that this process had in memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main(words: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.rollouts", description="Measure rollouts on simulated nodes.")
    parser.add_argument("--nodes", type=int, default=5000, help="how many (default: 5000)")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    asyncio.run(measured(parser.parse_args(words).nodes))


if __name__ == "__main__":
    main(sys.argv[1:])
