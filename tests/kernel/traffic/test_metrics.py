"""The metrics port, beside that of the real kube-proxy: each metric that is not of a library is ours, or the catalogue has a reason."""

from __future__ import annotations

import copy
import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.cluster.controlplane import ControlPlane
from tests.kernel.traffic.apiserver import AgentProcess, Cluster, KubeProxy
from tests.support.netns.peers import Prober
from tests.support.netns.topology import Topology
from tests.support.polling import eventually
from tests.support.scenarios.configs import CONFIGS
from tests.support.scenarios.objects import Allocator, Story
from tests.support.scenarios.scenario import load

from proxyconfig_agent.dataplane.iptables.kernel import nfacct
from proxyconfig_agent.dataplane.iptables.metrics import LOCALHOST_ACCEPTED
from proxyconfig_agent.dataplane.metric import KUBE_PROXYS
from proxyconfig_agent.dataplane.modes.modes import spec_of
from proxyconfig_agent.ingest.endpointslices import TRIGGER_TIME
from proxyconfig_agent.report.metrics.definitions import CATALOGUE, NOT_OURS
from proxyconfig_api.spec.sections import Mode

pytestmark = [pytest.mark.kernel, pytest.mark.apiserver, pytest.mark.timeout(400)]

ENDPOINTS = ("near1", "near2", "far1", "far2")
MODES = ("nftables", "iptables")


@dataclass(frozen=True)
class Shape:
    """What of a metric a dashboard relies on."""

    kind: str
    labels: frozenset[str]
    buckets: frozenset[float]


def shapes(page: str) -> dict[str, Shape]:
    """Of all metrics whose names are kube-proxy's."""
    types = [line.split()[2:] for line in page.splitlines() if line.startswith("# TYPE ")]
    kinds = {name: kind for name, kind in types if name.startswith(KUBE_PROXYS)}
    found = {}
    for family in text_string_to_metric_families(page):
        name = next((each for each in (family.name, f"{family.name}_total") if each in kinds), None)
        if name is not None:
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            buckets = {float(sample.labels["le"]) for sample in family.samples if "le" in sample.labels}
            found[name] = Shape(kinds[name], frozenset(labels), frozenset(buckets))
    return found


def catalogued(mode: str, world: Topology) -> dict[str, Shape]:
    own = spec_of(Mode(mode)).metrics
    counts = bool(own.packets) and world.node.call(nfacct.ensure)
    return {
        each.name: Shape(each.kind, frozenset(each.labels), frozenset({*each.buckets, float("inf")} if each.buckets else ()))
        for each in (*CATALOGUE, *own)
        if each.is_kube_proxys and (counts or each not in own.packets)
    }


def asked(world: Topology, path: str, port: int = 10249) -> tuple[int, str, str]:
    """Status, type and body."""

    def ask() -> tuple[int, str, str]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
        finally:
            connection.close()

    return world.node.call(ask)


def _answered(world: Topology, path: str) -> bool:
    """Whether the port for health listens, and answered."""
    try:
        return bool(asked(world, path, 10256))
    except OSError:
        return False


def synced(world: Topology) -> bool:
    try:
        return "kubeproxy_sync_proxy_rules_last_timestamp_seconds{" in asked(world, "/metrics")[2]
    except OSError:
        return False


def observe(world: Topology, cluster: Cluster) -> None:
    """Have something happen: health is asked for, and endpoints of all protocols come and go, with the time when they began to."""
    eventually(lambda: synced(world), within_s=60)
    for path in ("/healthz", "/livez"):
        eventually(lambda path=path: _answered(world, path), within_s=60)  # type: ignore[misc]
    story = Story(next(each for each in load() if each.id == "matrix-cluster-ip"), Allocator())
    story.advance()
    for endpoints in (4, 2):
        objects = copy.deepcopy(story.objects())
        for (kind, _, _), one in objects.items():
            if kind == "EndpointSlice":
                one["metadata"]["annotations"] = {TRIGGER_TIME: datetime.now(UTC).isoformat()}
                one["endpoints"] = one["endpoints"][:endpoints]
        cluster.apply(objects)
    cluster.apply({})


@pytest.mark.parametrize("mode", MODES)
def test_every_metric_of_kube_proxy_is_ours_or_has_a_reason(
    mode: str, control_plane: ControlPlane, world: Topology, api_cluster: Cluster, tmp_path: Path
) -> None:
    with KubeProxy(mode, control_plane, world, api_cluster, tmp_path).running(CONFIGS["default"]):
        observe(world, api_cluster)
        theirs = shapes(asked(world, "/metrics")[2])
        assert asked(world, "/proxyMode") == (200, "text/plain; charset=utf-8", mode)
        assert asked(world, "/healthz") == (200, "text/plain; charset=utf-8", "ok")
        assert list(json.loads(asked(world, "/configz")[2])) == ["kubeproxy.config.k8s.io"]
    ours = catalogued(mode, world)
    assert theirs.keys() - NOT_OURS.keys() <= ours.keys()
    assert {name for name in ours.keys() - theirs.keys() if "failures" not in name} == set()  # those have not failed: they show nothing
    for name in ours.keys() & theirs.keys():
        assert ours[name] == theirs[name], (name, ours[name].buckets ^ theirs[name].buckets)


@pytest.mark.parametrize("mode", MODES)
def test_the_agent_serves_what_the_catalogue_says(
    mode: str, control_plane: ControlPlane, world: Topology, api_cluster: Cluster, tmp_path: Path
) -> None:
    with AgentProcess(mode, control_plane, world, api_cluster, tmp_path).running(CONFIGS["default"]):
        observe(world, api_cluster)
        found = shapes(asked(world, "/metrics")[2])
        assert asked(world, "/proxyMode") == (200, "text/plain; charset=utf-8", mode)
        assert asked(world, "/healthz") == (200, "text/plain; charset=utf-8", "ok")
        configz = json.loads(asked(world, "/configz")[2])
        assert list(configz) == ["proxyconfig.dev"]
        assert configz["proxyconfig.dev"]["mode"] == mode
    expected = catalogued(mode, world)
    assert found == expected


@pytest.mark.parametrize("subject", [AgentProcess, KubeProxy])
def test_row_127_what_reaches_node_ports_by_localhost_is_counted(
    *,
    subject: type[AgentProcess] | type[KubeProxy],
    control_plane: ControlPlane,
    world: Topology,
    api_cluster: Cluster,
    probers: Mapping[str, Prober],
    tmp_path: Path,
) -> None:
    if not world.node.call(nfacct.ensure):
        pytest.skip("this kernel has no nfacct objects; neither has kube-proxy the metric then")
    story = Story(next(each for each in load() if each.id == "matrix-node-port"), Allocator())
    story.advance()
    (port, *_) = story.service("")["spec"]["ports"]
    with subject("iptables", control_plane, world, api_cluster, tmp_path).running(CONFIGS["localhost-node-ports"]):
        api_cluster.apply(story.objects())
        before = sample(world, LOCALHOST_ACCEPTED.name)
        flow = {"address": "127.0.0.1", "port": port["nodePort"], "patience_s": 1}
        eventually(lambda: next(iter(probers["node"].ask([flow])[0])).split()[0] in ENDPOINTS, within_s=60)
        assert sample(world, LOCALHOST_ACCEPTED.name) > before
        api_cluster.apply({})


def sample(world: Topology, name: str) -> float:
    families = text_string_to_metric_families(asked(world, "/metrics")[2])
    return next(sample.value for family in families for sample in family.samples if sample.name == name)
