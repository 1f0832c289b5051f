"""Copies of what the API server made, as etcd holds them."""

from __future__ import annotations

from typing import Any

from tests.bench import world
from tests.bench.bulk import Originals, copies
from tests.bench.world import World


def original(kind: str, **parts: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": "original", "uid": "u", "resourceVersion": "7", "managedFields": ["f"]}, **parts}


ORIGINALS = Originals(
    original("Service", spec={"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"], "type": "ClusterIP"}, status={"loadBalancer": {}}),
    original("EndpointSlice", addressType="IPv4", endpoints=[], ports=[]),
    original("IPAddress", spec={"parentRef": {"resource": "services", "namespace": world.NAMESPACE, "name": "original"}}),
)


def test_a_copy_has_its_own_names_and_addresses_and_what_the_api_server_adds() -> None:
    written = World()
    written.grow(8)

    (service_key, service), (slice_key, endpoint_slice), (address_key, address) = copies(ORIGINALS, written, [7])

    name, cluster_ip = world.service_name(7), world.cluster_ip(7)
    assert service_key == f"/registry/services/specs/{world.NAMESPACE}/{name}"
    assert (service["spec"]["clusterIPs"], service["spec"]["type"], service["status"]) == ([cluster_ip], "ClusterIP", {"loadBalancer": {}})
    assert slice_key == f"/registry/endpointslices/{world.NAMESPACE}/{world.slice_name(7)}"
    assert endpoint_slice["endpoints"] == written.endpoint_slice(7)["endpoints"]
    assert address_key == f"/registry/ipaddresses/{cluster_ip}"
    assert address["spec"]["parentRef"]["name"] == name


def test_a_copy_has_a_uid_of_its_own_and_no_version_before_etcd_gives_one() -> None:
    uids = set()
    for _, copied in copies(ORIGINALS, World(), range(3)):
        assert "resourceVersion" not in copied["metadata"]
        assert copied["metadata"]["managedFields"] == ["f"]
        uids.add(copied["metadata"]["uid"])

    assert len(uids) == 9
