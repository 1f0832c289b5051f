"""A fake API server for plans: it keeps what is written, checks it as the real one would, and has agents that apply every order."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import msgspec
from tests.unit.operator.builders import NOW, pod, snapshot

from proxyconfig_api.encoding import codec
from proxyconfig_api.objects import names
from proxyconfig_api.objects.assignment import OS_LABEL
from proxyconfig_api.objects.nodeproxy import NodeProxy
from proxyconfig_operator.decide.plan import orphan_plan, plan_of
from proxyconfig_operator.decide.snapshot import Snapshot
from proxyconfig_operator.model.objects import Config, DaemonSet, Node, Revision
from proxyconfig_operator.model.writes import Apply, Delete, Label, Resource, Write

Manifest = dict[str, Any]
READY = {"type": "Ready", "status": "True", "reason": "Synced", "message": "", "lastTransitionTime": NOW.isoformat()}


class Cluster:
    def __init__(self) -> None:
        self.objects: dict[Resource, dict[str, Manifest]] = {kind: {} for kind in Resource}
        self._uids = 0
        self._pods: dict[tuple[str, str], str] = {}
        """The revisions of pods, by node and ProxyConfig."""

    def do(self, step: str, subject: Any, value: Any) -> None:
        """One thing that users, nodes, the operator or agents do."""
        match step:
            case "apply":
                self._apply_config(subject, value)
            case "delete" if subject in self._configs:
                self._configs[subject]["metadata"].setdefault("deletionTimestamp", NOW.isoformat())
                self._collect()
            case "join" if subject not in self._nodes:
                ready, labels = {"conditions": [{"type": "Ready", "status": "True"}]}, {OS_LABEL: "linux", "pool": value}
                self._nodes[subject] = {
                    "metadata": self._metadata(subject) | {"labels": labels},
                    "status": ready,
                }
            case "leave":
                self._nodes.pop(subject, None)
                self._collect()
            case "half a pass":
                self.carry_out(self.writes()[:subject])
            case "agents":
                self.report()

    def settle(self) -> None:
        """Let operator and agents work until there is nothing left to do; it must not take long."""
        for _ in range(12):
            writes = self.writes()
            self.carry_out(writes)
            if not self.report() and not writes:
                return
        raise AssertionError(f"still writing: {self.writes()}")

    def writes(self) -> list[Write]:
        """All that the operator would write now, in order."""
        there = self.snapshot()
        plans = [plan_of(each, there) for each in there.configs.values()]
        return [*(write for plan in plans for write in (*plan.prepare, *plan.move, *plan.finish)), *orphan_plan(there).move]

    def carry_out(self, writes: Iterable[Write]) -> None:
        for write in writes:
            match write:
                case Apply():
                    self._apply(write)
                case Label() if self._nodes.get(write.node, {}).get("metadata", {}).get("uid") == write.uid:
                    labels = self._nodes[write.node]["metadata"]["labels"] | dict(write.labels)
                    self._nodes[write.node]["metadata"]["labels"] = {key: value for key, value in labels.items() if value is not None}
                case Delete() if write.resource is Resource.POD:
                    self._pods = {key: made for key, made in self._pods.items() if write.name != f"pod-{key[0]}"}
                case Delete() if self.objects[write.resource].get(write.name, {}).get("metadata", {}).get("uid") == write.uid:
                    del self.objects[write.resource][write.name]
                case _:
                    pass  # it is gone

    def report(self) -> bool:
        """Let agents do what their NodeProxies say, where their pods run; tell whether any had something to do."""
        busy = False
        for name, each in self.objects[Resource.NODE_PROXY].items():
            status, generation = each["status"], each["metadata"]["generation"]
            if name not in self._with_agents() or status.get("observedGeneration") == generation:
                continue
            busy = True
            removed = {"removed": {"objects": 0}} if each["spec"]["action"] != "Apply" else {}
            each["status"] = {
                "observedGeneration": generation,
                "observedRevision": each["spec"]["revisionName"],
                "conditions": [READY],
            } | removed
        return busy

    def snapshot(self) -> Snapshot:
        kinds = self.objects
        return snapshot(
            [Config.of(copy.deepcopy(each)) for each in self._configs.values()],
            [msgspec.convert(copy.deepcopy(each), Node) for each in self._nodes.values()],
            proxies=[codec.decode(copy.deepcopy(each), NodeProxy) for each in kinds[Resource.NODE_PROXY].values()],
            pods=[pod(f"pod-{name}", name, owner, pods=made) for (name, owner), made in self._agents().items()],
            revisions=[msgspec.convert(copy.deepcopy(each), Revision) for each in kinds[Resource.REVISION].values()],
            daemonsets=[msgspec.convert(copy.deepcopy(each), DaemonSet) for each in kinds[Resource.DAEMON_SET].values()],
        )

    @property
    def _configs(self) -> dict[str, Manifest]:
        return self.objects[Resource.PROXY_CONFIG]

    @property
    def _nodes(self) -> dict[str, Manifest]:
        return self.objects[Resource.NODE]

    def _with_agents(self) -> dict[str, Manifest]:
        """The nodes one of whose labels a DaemonSet selects."""
        selected = {each["metadata"]["labels"][names.CONFIG_LABEL] for each in self.objects[Resource.DAEMON_SET].values()}
        return {name: each for name, each in self._nodes.items() if _owner(each) in selected}

    def _agents(self) -> dict[tuple[str, str], str]:
        """The pods that the DaemonSet controller keeps, and makes where there are none."""
        templates = {
            each["metadata"]["labels"][names.CONFIG_LABEL]: each["spec"]["template"]["metadata"]["labels"][names.POD_REVISION_LABEL]
            for each in self.objects[Resource.DAEMON_SET].values()
        }
        owners = {name: _owner(each) for name, each in self._with_agents().items()}
        self._pods = {key: self._pods.get(key, templates[key[1]]) for key in owners.items()}
        return self._pods

    def _metadata(self, name: str) -> Manifest:
        self._uids += 1
        return {"name": name, "uid": f"uid-{self._uids}", "generation": 1, "creationTimestamp": NOW.isoformat()}

    def _apply_config(self, name: str, spec: Manifest) -> None:
        known = self._configs.setdefault(name, {"metadata": self._metadata(name), "spec": {}})
        if "deletionTimestamp" not in known["metadata"]:
            known["spec"] = spec

    def _apply(self, write: Apply) -> None:
        kind, body = self.objects[write.resource], copy.deepcopy(dict(write.body))
        known = kind.get(write.name)
        uid = body["metadata"].get("uid")
        if uid and (known is None or known["metadata"]["uid"] != uid):
            return  # 409
        if known is None:
            known = kind[write.name] = {"metadata": self._metadata(write.name), "status": {}}
        if write.resource is Resource.REVISION:
            assert known.get("data", body["data"]) == body["data"], "data of a ControllerRevision is immutable"
        if write.resource is Resource.NODE_PROXY:
            assert body["spec"]["revisionName"] in self.objects[Resource.REVISION] or body["spec"]["action"] != "Apply", (
                "names a revision that is not there"
            )
            known["metadata"]["generation"] += known.get("spec", body["spec"]) != body["spec"]
            known["metadata"].pop("annotations", None)
        labels = known["metadata"].get("labels", {}) | body["metadata"].get("labels", {})
        known["metadata"] |= body["metadata"] | {"labels": labels}
        known |= {key: value for key, value in body.items() if key != "metadata"}
        self._collect()

    def _collect(self) -> None:
        """What the API server and the garbage collector take away."""
        for name, each in list(self._configs.items()):
            if "deletionTimestamp" in each["metadata"] and not each["metadata"].get("finalizers"):
                del self._configs[name]
        alive = {each["metadata"]["uid"] for kind in self.objects.values() for each in kind.values()}
        for kind in self.objects.values():
            for name, each in list(kind.items()):
                owners = each["metadata"].get("ownerReferences", [])
                if owners and not any(owner["uid"] in alive for owner in owners):
                    del kind[name]


def _owner(node: Manifest) -> str:
    labels = node["metadata"]["labels"]
    return labels.get(names.CONFIG_LABEL) or labels.get(names.LEAVING_LABEL) or ""
