"""A cluster with the product on it, as end-to-end tests see it: through kubectl, and on a local cluster also through its nodes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster import cluster, deploy, kubectl
from tests.cluster.command import run
from tests.e2e.reader import Object, Reader, reader
from tests.support.polling import eventually

CONFIG = "default"
WITHIN_S = 120


@dataclass(frozen=True, slots=True)
class Installed:
    """The cluster that is tested; `local` if it is one of this machine's own."""

    kubeconfig: Path
    reader: Reader
    local: cluster.Cluster | None
    agent_image: str = ""
    """What was deployed."""

    def kubectl(self, *words: str, given: str | None = None, timeout_s: float = 120) -> str:
        """Run kubectl and return what it printed.

        Raises CommandError.
        """
        return run(kubectl.on_path(self.kubeconfig).program, "--kubeconfig", self.kubeconfig, *words, given=given, timeout_s=timeout_s)

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Apply objects, server-side."""
        listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", given=listed)

    def get(self, plural: str, name: str, namespace: str = "default") -> Object:
        """Return an object; an empty one if there is none."""
        return self.reader.get(plural, name, namespace)

    def objects(self, plural: str, namespace: str = "default", *, labels: str = "", fields: str = "") -> list[Object]:
        """Return the objects of a kind in a namespace (in all of them if it is empty) that have these labels and fields."""
        return self.reader.list(plural, namespace, labels, fields)

    def events(self, reason: str, about: Mapping[str, Any]) -> list[Object]:
        """Return the Events with that reason about an object, which may be gone."""
        found, uid = self.objects("events"), about["metadata"]["uid"]
        return [each for each in found if each["reason"] == reason and each["regarding"].get("uid") == uid]

    def config(self, name: str = CONFIG) -> Object:
        """Return a ProxyConfig."""
        return self.get("proxyconfigs", name)

    def patch(self, change: Mapping[str, Any], name: str = CONFIG) -> None:
        """Merge a change into a ProxyConfig's spec."""
        self.kubectl("patch", "proxyconfigs.proxyconfig.dev", name, "--type=merge", "-p", json.dumps({"spec": change}))

    def agents(self, config: str = CONFIG) -> list[Object]:
        """Return the pods of a ProxyConfig's agents."""
        chosen = f"app.kubernetes.io/name=proxyconfig-agent,proxyconfig.dev/config={config}"
        return self.objects("pods", deploy.NAMESPACE, labels=chosen)

    def is_rolled_out(self) -> bool:
        """Return whether every agent has the image that was deployed, and runs: the cluster may be one that had another before."""
        pods = self.agents()
        states = [state for pod in pods for state in pod["status"].get("containerStatuses", ())]
        images = {container["image"] for pod in pods for container in pod["spec"]["containers"]}
        return images == {self.agent_image} and len(states) == len(pods) and all(state["ready"] for state in states)

    def ready(self, name: str = CONFIG, within_s: float = WITHIN_S) -> Object:
        """Wait until a ProxyConfig's current generation is Ready on all its nodes, and return it."""
        return eventually(lambda: self.config(name), within_s=within_s, every_s=0.3, until=is_ready)

    def eventually(self, probe: Callable[[], Object], holds: Callable[[Object], bool], within_s: float = WITHIN_S) -> Object:
        """Wait until an object is as it should be, and return it."""
        return eventually(probe, within_s=within_s, every_s=0.3, until=holds)


def condition(found: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Return a condition of an object; an empty one if it has none of this type."""
    conditions = found.get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == kind), {})


def is_ready(config: Mapping[str, Any]) -> bool:
    """Return whether a ProxyConfig says that its current generation is everywhere and works."""
    if not config:
        return False
    said, generation = condition(config, "Ready"), config["metadata"]["generation"]
    return said.get("status") == "True" and said.get("observedGeneration") == generation and _is_everywhere(config["status"]["nodes"])


def _is_everywhere(nodes: Mapping[str, int]) -> bool:
    return nodes["desired"] > 0 and nodes["desired"] == nodes["updated"] == nodes["ready"]


@contextmanager
def installed(name: str, nodes: int = 2) -> Iterator[Installed]:
    """Give the cluster of KUBECONFIG, or a local one of this name and size, with the product on it as the sources are now."""
    target = deploy.given()
    if target is not None:
        deploy.apply(target)
        with reader(target.kubeconfig) as reads:
            yield Installed(target.kubeconfig, reads, cluster.of_kubeconfig(target.kubeconfig), target.agent)
        return
    with cluster.provided(name, nodes) as local, reader(local.kubeconfig) as reads:
        target = deploy.load(local)
        deploy.apply(target)
        yield Installed(local.kubeconfig, reads, local, target.agent)
