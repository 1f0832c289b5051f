"""Simulated nodes: what the DaemonSet controller, kubelet and the agent of each node would do, seen from the API server.

A thread looks at what is known of the API server when something changes there, and twice a second, and does what is due: it keeps no
state but what a test told it.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from tests.apiserver.informer import Informer
from tests.apiserver.objects import CONFIGS, DAEMONSETS, LEASES, NODES, PODS, PROXIES, Api, Object, node, pod, ready, running, waiting
from urllib3.exceptions import HTTPError

from proxyconfig_api.objects import heartbeat, names

_PASSING = (
    *("404", "409"),  # others change these objects as well
    *("429", "503"),  # a server that is being started has not got all its paths yet
)
LOOK_EVERY_S, LOOK_AGAIN_AFTER_S = 0.5, 0.05
PROBE_IP = "10.244.0.9"
"""Of every probe pod."""
T = TypeVar("T")
Work = Callable[[], None]


class Fleet:
    """Nodes of one API server. A context manager; `join` and the sets below may be used while it runs."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.dead: set[str] = set()
        """Nodes on which nothing happens any more."""
        self.stubborn: set[str] = set()
        """Nodes whose agents never report a removal."""
        self.with_kube_proxy: set[str] = set()
        """Nodes on which a kube-proxy serves: their agents give them back."""
        self.silent: set[str] = set()
        """Nodes whose agents do not reach the API server, though kubelet does."""
        self.going_back: set[str] = set()
        """Nodes whose agents go back from every change, as DNS does not answer after it; they try again only what is another order."""
        self.renew_s = heartbeat.RENEW_S / 4
        """Between two heartbeats of an agent; to be less where an operator's grace is."""
        self._renewed: dict[str, float] = {}
        self.missing_images: set[str] = set()
        """Images that no registry has."""
        self.unready_images: set[str] = set()
        """Images whose agents run and never get ready."""
        self.unprobed: set[str] = set()
        """Nodes on which no probe pod ever starts."""
        self.removals: list[str] = []
        """Nodes whose agents have removed everything, in order."""
        self._stop, self._changed = threading.Event(), threading.Event()
        self._daemonsets, self._pods, self._proxies, self._nodes = (
            Informer(api, path, self._changed, self._stop) for path in (DAEMONSETS, PODS, PROXIES, NODES)
        )
        self._workers = ThreadPoolExecutor(8)
        self._thread = threading.Thread(target=self._run, name="fleet")
        self.failures: list[str] = []

    def __enter__(self) -> Fleet:
        for informer in (self._daemonsets, self._pods, self._proxies, self._nodes):
            informer.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._changed.set()
        self._thread.join()
        self._workers.shutdown()
        assert not self.failures, self.failures

    def join(self, *nodes: str, **labels: str) -> None:
        """Let ready nodes come to the cluster."""
        self._each(lambda name: self._join(name, labels), nodes)

    def die_before_joining(self, name: str) -> None:
        """Let a ready node come on which no pod ever starts."""
        self.dead.add(name)
        self.join(name)

    def die(self, name: str) -> None:
        """Let a node fall silent, as the control plane then says."""
        self.dead.add(name)
        silent = ready(holds=False, reason="NodeStatusUnknown", message="Kubelet stopped posting node status.") | {"status": "Unknown"}
        self.api.patch(f"{NODES}/{name}/status", {"status": {"conditions": [silent]}})

    def lose_network(self, name: str) -> None:
        """Let kubelet say that the node's network plugin is not ready; its agent works, and so does kubelet."""
        waits = ready(holds=False, reason="NetworkPluginNotReady", message="cni plugin not initialized")
        self.api.patch(f"{NODES}/{name}/status", {"status": {"conditions": [waits]}})

    def return_to_life(self, name: str) -> None:
        """Let a node that has fallen silent go on where it was."""
        self.api.patch(f"{NODES}/{name}/status", {"status": {"conditions": [ready(holds=True, reason="KubeletReady")]}})
        self.dead.discard(name)

    def _join(self, name: str, labels: Mapping[str, str]) -> None:
        self.api.create(NODES, node(name, labels))
        self.api.patch(f"{NODES}/{name}/status", {"status": {"conditions": [ready(holds=True, reason="KubeletReady")]}})

    def _each(self, work: Callable[[T], object], items: Iterable[T]) -> None:
        for done in wait([self._workers.submit(work, item) for item in items]).done:  # all of them, or they would run into the next round
            done.result()

    def _run(self) -> None:
        while not self._stop.wait(LOOK_AGAIN_AFTER_S):
            self._changed.wait(LOOK_EVERY_S)
            self._changed.clear()
            try:
                self._round()
            except AssertionError as error:
                if not any(status in str(error) for status in _PASSING):
                    self.failures.append(str(error))
            except (OSError, HTTPError):
                continue  # a test has stopped the API server

    def _round(self) -> None:
        sets = self._daemonsets.objects().values()
        templates = {each["metadata"]["labels"][names.CONFIG_LABEL]: each["spec"]["template"] for each in sets}
        pods, proxies = defaultdict[str, list[Object]](list), self._proxies.objects()
        for item in self._pods.objects().values():
            pods[item["spec"]["nodeName"]].append(item)
        living = {name: each for name, each in self._nodes.objects().items() if name not in self.dead}
        due = [list(self._due(each, templates, pods[name], proxies.get(name))) for name, each in living.items()]
        self._each(_do, filter(None, due))

    def _due(self, each: Object, templates: Mapping[str, Object], pods: Iterable[Object], proxy: Object | None) -> Iterator[Work]:
        """What is to be done on a node, in order."""
        name = each["metadata"]["name"]
        labels = each["metadata"].get("labels", {})
        config = labels.get(names.CONFIG_LABEL) or labels.get(names.LEAVING_LABEL) or ""
        mine, found = f"agent-{config}-{name}", None
        yield from self._due_of_probes(name, (item for item in pods if _is_probe(item)))
        for item in (item for item in pods if not _is_probe(item)):
            if item["metadata"]["name"] != mine or _ends(item, config, templates):
                yield partial(self._delete, item["metadata"]["name"])
            if item["metadata"]["name"] == mine:
                found = item
        if config not in templates or (found is not None and _ends(found, config, templates)):
            return
        if found is None:
            yield partial(self._start_pod, pod(mine, name, config, templates[config]))
        elif (found["status"]["phase"] == "Running") == self._is_broken(found):
            yield partial(self._run_pod, found)
        elif not self._is_broken(found) and proxy is not None and name not in self.silent:
            yield from self._due_of_agent(proxy)

    def _due_of_probes(self, node: str, pods: Iterable[Object]) -> Iterator[Work]:
        for item in pods:
            if "deletionTimestamp" in item["metadata"]:
                yield partial(self._delete, item["metadata"]["name"])
            elif item["status"]["phase"] != "Running" and node not in self.unprobed:
                yield partial(self._run_probe, item["metadata"]["name"])

    def _run_probe(self, name: str) -> None:
        status = running(ready=True) | {"podIP": PROBE_IP, "podIPs": [{"ip": PROBE_IP}]}
        self._pods.put(self.api.patch(f"{PODS}/{name}/status", {"status": status}))

    def _delete(self, name: str) -> None:
        self.api.delete(f"{PODS}/{name}?gracePeriodSeconds=0")
        self._pods.drop(name)

    def _start_pod(self, wanted: Object) -> None:
        self._run_pod(self.api.create(PODS, wanted))

    def _run_pod(self, made: Object) -> None:
        """Start its container, as far as that is possible."""
        status = waiting() if self._is_broken(made) else running(ready=_image(made) not in self.unready_images)
        self._pods.put(self.api.patch(f"{PODS}/{made['metadata']['name']}/status", {"status": status}))

    def _is_broken(self, made: Object) -> bool:
        return _image(made) in self.missing_images

    def _due_of_agent(self, proxy: Object) -> Iterator[Work]:
        name, status, removing = proxy["metadata"]["name"], proxy.get("status", {}), self._ends(proxy)
        observed = status.get("observedGeneration") == proxy["metadata"]["generation"] and (not removing or "removed" in status)
        if not observed and not (removing and name in self.stubborn):
            yield partial(self._report, proxy)
        if time.monotonic() - self._renewed.get(name, float("-inf")) >= self.renew_s:
            yield partial(self._renew, proxy)

    def _report(self, proxy: Object) -> None:
        name, generation, spec = proxy["metadata"]["name"], proxy["metadata"]["generation"], proxy["spec"]
        removing = self._ends(proxy)
        before = proxy.get("status", {}).get("observedRevision", "")
        back = name in self.going_back and before not in ("", spec["revisionName"]) and not removing
        self._write(proxy, self._gone_back(proxy) if back else self._done(spec, generation, removing=removing))
        if removing:
            self.removals.append(name)

    def _ends(self, proxy: Object) -> bool:
        action, name = proxy["spec"]["action"], proxy["metadata"]["name"]
        return action == "Remove" or (action == "GiveBack" and name in self.with_kube_proxy)

    def _done(self, spec: Object, generation: int, *, removing: bool) -> Object:
        """The status of an agent that has done what it was asked for."""
        mode = {"desired": "nftables", "effective": "nftables", "reason": "AsConfigured"}
        status: dict[str, Any] = {"observedGeneration": generation, "observedRevision": spec["revisionName"], "mode": mode}
        status["conditions"] = [ready(holds=not removing, reason="Removed" if removing else "Synced")]
        return status | ({"removed": {"objects": 0}} if removing else {})

    def _gone_back(self, proxy: Object) -> Object:
        failed = {"name": "dns/UDP", "result": "Failed", "message": "no answer within 1 s"}
        change = {"revision": proxy["spec"]["revisionName"], "phase": "RolledBack", "reason": "ProbeFailed", "probes": [failed]}
        kept = {key: value for key, value in proxy["status"].items() if key in ("observedRevision", "mode", "conditions")}
        return kept | {"observedGeneration": proxy["metadata"]["generation"], "change": change}

    def _write(self, proxy: Object, status: Object) -> None:
        name = proxy["metadata"]["name"]
        metadata = {"name": name, "uid": proxy["metadata"]["uid"]}
        body = {"apiVersion": names.API_VERSION, "kind": "NodeProxy", "metadata": metadata, "status": status}
        self._proxies.put(self.api.apply(f"{PROXIES}/{name}/status", body, manager=names.AGENT))

    def _renew(self, proxy: Object) -> None:
        """The agent's heartbeat: anything that changes the Lease."""
        self._renewed[proxy["metadata"]["name"]] = time.monotonic()
        renew(self.api, proxy)


def renew(api: Api, proxy: Object) -> None:
    """Change the Lease of a node's agent, as each heartbeat does."""
    node = proxy["metadata"]["name"]
    owner = {"apiVersion": names.API_VERSION, "kind": "NodeProxy", "name": node, "uid": proxy["metadata"]["uid"]}
    metadata = {"name": heartbeat.lease_of(node), "labels": dict(heartbeat.LABELS), "ownerReferences": [owner]}
    spec = {"holderIdentity": node, "renewTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
    body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
    api.apply(f"{LEASES}/{heartbeat.lease_of(node)}", body, manager=names.AGENT)


def clean(api: Api) -> None:
    """Take away everything that a test has made."""
    for name in api.names(CONFIGS):
        api.patch(f"{CONFIGS}/{name}", {"metadata": {"finalizers": []}})
    collections = (CONFIGS, PROXIES, NODES, PODS, DAEMONSETS, *_OTHERS)
    for path in collections:
        api.delete(f"{path}?gracePeriodSeconds=0")


def _do(works: Iterable[Work]) -> None:
    for work in works:
        work()


def _ends(item: Object, config: str, templates: Mapping[str, Object]) -> bool:
    """Whether kubelet is to end a pod: somebody has deleted it, or its DaemonSet does not want it any more."""
    return config not in templates or "deletionTimestamp" in item["metadata"]


def _is_probe(item: Object) -> bool:
    return bool(item["metadata"].get("labels", {}).get("app.kubernetes.io/name") == names.PROBE)


def _image(made: Object) -> str:
    return str(made["spec"]["containers"][0]["image"])


_OTHERS = (
    f"/apis/apps/v1/namespaces/{names.NAMESPACE}/controllerrevisions",
    f"/apis/coordination.k8s.io/v1/namespaces/{names.NAMESPACE}/leases",
    "/apis/events.k8s.io/v1/namespaces/default/events",
)
