"""The objects of scenarios in a real API server, and whether the proxies that watch it have caught up with them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from tests.cluster.errors import CommandError
from tests.netns.peers import Prober
from tests.polling import eventually
from tests.scenarios.book import Book
from tests.scenarios.objects import SERVICE_LABEL, Key, sentinel_address
from tests.scenarios.scenario import Object

SYNC_WITHIN_S = 60
WRITTEN_WITHIN_S = 60
SENTINEL = "sentinel"
COLLECTIONS = {
    "Service": "/api/v1/namespaces/{namespace}/services",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices",
}


class ApiObjects:
    """All Services and EndpointSlices of scenarios. `pods` are clients, one behind each proxy that has to catch up."""

    def __init__(self, kubectl: Callable[..., str], book: Book, pods: Sequence[Prober]) -> None:
        self._kubectl, self._pods = kubectl, pods
        self._present: dict[Key, Object] = {}
        self._generation = 0
        self._endpoint, self._node = book.places["near1"], book.nodes["near1"]
        self._address = sentinel_address(book)
        self.namespaces: set[str] = set()
        """Those that it made."""

    def apply(self, objects: Mapping[Key, Object]) -> None:
        """Make these the only Services and EndpointSlices, and wait until the proxies serve them."""
        self.put(objects)
        eventually(self.caught_up, within_s=SYNC_WITHIN_S)

    def put(self, objects: Mapping[Key, Object]) -> None:
        """Make these the only Services and EndpointSlices; do not wait."""
        moved = {key for key, one in objects.items() if key in self._present and _moves(self._present[key], one)}
        self._delete(set(self._present) - set(objects) | moved, {key[:2] for key in objects})
        namespaces = ({namespace for _, namespace, _ in objects} | {SENTINEL}) - self.namespaces
        self.write({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in sorted(namespaces))
        self.namespaces |= namespaces
        self.write(one for key, one in objects.items() if self._present.get(key) != one)
        self._present = dict(objects)
        self._generation += 1
        self.write(self._sentinel())

    def _delete(self, gone: set[Key], staying: set[tuple[str, str]]) -> None:
        """Delete objects; all of a kind in a namespace at once where none stays, as kubectl takes long for one after the other."""
        for (kind, namespace), keys in itertools.groupby(sorted(gone), key=lambda key: key[:2]):
            if (kind, namespace) in staying:
                self._kubectl("delete", kind, "-n", namespace, "--wait=false", *(name for _, _, name in keys))
            else:
                self._kubectl("delete", "--raw", COLLECTIONS[kind].format(namespace=namespace))

    def everything(self) -> dict[Key, Object]:
        """All Services and EndpointSlices that the API has now, those that it made itself, too."""
        listed = json.loads(self._kubectl("get", "services,endpointslices", "-A", "-o", "json"))["items"]
        return {(one["kind"], one["metadata"]["namespace"], one["metadata"]["name"]): one for one in listed}

    def caught_up(self) -> bool:
        """Whether every pod reaches the newest sentinel in both families."""
        flows = [{"address": address, "port": self._port, "patience_s": 0.5} for address in self._address.both]
        answers = [answer for pod in self._pods for answer in pod.ask(flows)]
        return all(next(iter(answer)).endswith(f" {self._endpoint_port}") for answer in answers)

    def write(self, objects: Iterable[Object]) -> None:
        """Write objects and, where they have one, their status."""
        listed = list(objects)
        for part, options in ((listed, ()), ([one for one in listed if "status" in one], ("--subresource=status",))):
            if part:
                given = json.dumps({"apiVersion": "v1", "kind": "List", "items": part})
                eventually(partial(self._applied, given, options), within_s=WRITTEN_WITHIN_S, every_s=1)

    def _applied(self, given: str, options: Sequence[str]) -> bool:
        """Whether the API server took it all; a busy one answers some requests with a time-out."""
        try:
            self._kubectl("apply", "--server-side", "--force-conflicts", *options, "-f", "-", given=given)
        except CommandError as error:
            raise AssertionError(str(error)) from error
        return True

    @property
    def _port(self) -> int:
        return 1000 + self._generation

    @property
    def _endpoint_port(self) -> int:
        return 8080 if self._generation % 2 else 9090

    def _sentinel(self) -> list[Object]:
        """A Service and its slices that differ every time, written last: watches keep the order, so who serves it has seen the rest."""
        metadata = {"name": SENTINEL, "namespace": SENTINEL}
        spec: dict[str, Any] = {
            "clusterIP": self._address.v4,
            "clusterIPs": list(self._address.both),
            "ipFamilyPolicy": "RequireDualStack",
            "ports": [{"name": "web", "port": self._port, "targetPort": 8080}],
        }
        slices: list[Object] = [
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {"name": f"{SENTINEL}-{family}", "namespace": SENTINEL, "labels": {SERVICE_LABEL: SENTINEL}},
                "addressType": f"IPv{family}",
                "ports": [{"name": "web", "port": self._endpoint_port, "protocol": "TCP"}],
                "endpoints": [{"addresses": [self._endpoint[family]], "nodeName": self._node}],
            }
            for family in (4, 6)
        ]
        return [{"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}, *slices]


def _moves(before: Object, after: Object) -> bool:
    """Whether a Service has another cluster IP, which the API takes only for a new one."""
    old, new = (one.get("spec", {}).get("clusterIPs") for one in (before, after))
    return bool(old and new and old != new)
