"""Services and EndpointSlices in a real API server, and a mark in them by which one can tell that a proxy has caught up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tests.support.netns.topology import NODE_NAME
from tests.support.scenarios.apiwriter import ApiWriter
from tests.support.scenarios.objects import SERVICE_LABEL, Key
from tests.support.scenarios.scenario import Object

MARK = "mark"
"""The name of the Service that is written last, and of its namespace."""


class Mark(NamedTuple):
    """Ports that are new with the newest objects: watches keep the order, so who has these has the rest."""

    service: str
    endpoint: str

    def is_in(self, saved: str) -> bool:
        """Whether the output of iptables-save has rules for both."""
        return f"--dport {self.service} -j KUBE-SVC-" in saved and f":{self.endpoint}\n" in saved

    def is_in_table(self, listed: str) -> bool:
        """Whether `nft list` shows that a table of kube-proxy has both."""
        return f". tcp . {self.service} : goto service-" in listed and f" . {self.endpoint} }}" in listed


class Api:
    """The objects of the test in an API server."""

    def __init__(self, writer: ApiWriter) -> None:
        self._writer = writer
        self._present: dict[Key, Object] = {}
        self._namespaces: set[str] = set()
        self._generation = 0

    def put(self, objects: Mapping[Key, Object]) -> Mark:
        """Make these the only ones; return what a proxy's rules have in both families once it knows all of them."""
        self._generation += 1
        marks = _marks(self._generation)
        self._place({namespace for _, namespace, _ in (*objects, *marks)} - self._namespaces)
        self._writer.replace(self._present, objects)
        self._writer.apply_in_order(marks.values())
        self._present = dict(objects)
        return Mark(str(self._generation), str(9000 + self._generation))

    def everything(self) -> dict[Key, Object]:
        """All Services and EndpointSlices as the API server has them."""
        return self._writer.everything()

    def _place(self, namespaces: set[str]) -> None:
        self._writer.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in namespaces)
        self._namespaces |= namespaces


def _marks(generation: int) -> dict[Key, Object]:
    """A Service of both families, and its slices with a port that is another one each time."""
    metadata = {"namespace": MARK, "name": MARK}
    spec = {
        "clusterIP": "10.96.3.3",
        "clusterIPs": ["10.96.3.3", "fd00:10:96::303"],
        "ipFamilies": ["IPv4", "IPv6"],
        "ipFamilyPolicy": "RequireDualStack",
        "ports": [{"port": generation}],
    }
    marks: dict[Key, Object] = {("Service", MARK, MARK): {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}}
    for family, address in ((4, "10.244.0.3"), (6, "fd00:244::3")):
        name = f"{MARK}-{family}"
        marks["EndpointSlice", MARK, name] = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"namespace": MARK, "name": name, "labels": {SERVICE_LABEL: MARK}},
            "addressType": f"IPv{family}",
            "ports": [{"name": "", "port": 9000 + generation, "protocol": "TCP"}],
            "endpoints": [{"addresses": [address], "nodeName": NODE_NAME}],
        }
    return marks
