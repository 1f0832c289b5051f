"""What is watched before there is an agent that could be told."""

from __future__ import annotations

import json
from typing import Any

from proxyconfig_agent.ingest import apitypes
from proxyconfig_agent.ingest.model import Node, NodeName
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_agent.watch.informers import Informers
from proxyconfig_client.apiserver.client import ApiClient
from proxyconfig_client.connection.config import ClientConfig
from proxyconfig_client.watch.objects import Key

SERVICE = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 80}]}}
SLICE = {
    "metadata": {"name": "web-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
    "addressType": "IPv4",
    "ports": [{"name": "", "port": 8080}],
    "endpoints": [{"addresses": ["10.244.0.1"]}],
}
NODE = {"metadata": {"name": "n1"}}


class Recorder:
    """A listener that remembers its calls."""

    def __init__(self) -> None:
        self.services = self.endpoints = self.cidrs = 0
        self.nodes: list[str] = []

    def service_changed(self, times: int = 1) -> None:
        self.services += times

    def endpoints_changed(self, times: int = 1) -> None:
        self.endpoints += times

    def node_changed(self, key: Key, item: apitypes.Node | None) -> None:
        self.nodes.append(f"{key} {'here' if item else 'gone'}")

    def cidrs_changed(self) -> None:
        self.cidrs += 1


def added(item: dict[str, Any]) -> bytes:
    return json.dumps({"type": "ADDED", "object": item}).encode()


async def test_what_changed_before_anybody_listens_is_told_once_and_what_changes_then_as_it_does() -> None:
    async with ApiClient(ClientConfig(server="http://127.0.0.1:1"), user_agent="test") as connection:
        watched, told = Informers(connection, ClusterState(Node(NodeName("n1")))), Recorder()
        watched.services._decoder.take(added(SERVICE))
        watched.slices._decoder.take(added(SLICE))
        watched.node._decoder.take(added(NODE))

        watched.tell(told)

        assert (told.services, told.endpoints, told.nodes) == (1, 1, ["n1 here"])
        watched.services._decoder.take(added(SERVICE | {"spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 81}]}}))
        watched.cidrs._decoder.take(added({"metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["10.96.0.0/16"]}}))
        assert (told.services, told.endpoints, told.cidrs) == (2, 1, 1)
        assert [cidr.metadata.name for cidr in watched.service_cidrs()] == ["kubernetes"]
