"""Where our tables differ from kube-proxy's on purpose: each difference rule by rule, and why."""

# ruff: noqa: E501 -- a rule stands on one line, as iptables-save prints it.

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from tests.kernel.iptables.comparison import Laboratory
from tests.kernel.iptables.settings import Setting
from tests.kernel.iptables.tables import without_hashes
from tests.support.netns.topology import NODE_ALTERNATIVE, NODE_NAME
from tests.support.scenarios.objects import SERVICE_LABEL, Key
from tests.support.scenarios.scenario import Object

pytestmark = [pytest.mark.kernel, pytest.mark.apiserver, pytest.mark.timeout(300)]

Report = Callable[[str, object], None]

DEFAULTS = Setting("defaults")


def service(name: str, host: int, ingress: Sequence[str] = (), **spec: object) -> dict[Key, Object]:
    """A Service of both families with port 80 and an endpoint on this node in each."""
    addresses = [f"10.96.2.{host}", f"fd00:10:96::{0x200 + host:x}"]
    metadata = {"namespace": "differences", "name": name}
    made: dict[Key, Object] = {
        ("Service", "differences", name): {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {
                "clusterIP": addresses[0],
                "clusterIPs": addresses,
                "ipFamilies": ["IPv4", "IPv6"],
                "ipFamilyPolicy": "RequireDualStack",
                "ports": [{"port": 80}],
                **spec,
            },
            **({"status": {"loadBalancer": {"ingress": [{"ip": ip} for ip in ingress]}}} if ingress else {}),
        }
    }
    for family, address in ((4, "10.244.0.20"), (6, "fd00:244::20")):
        made["EndpointSlice", "differences", f"{name}-{family}"] = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"namespace": "differences", "name": f"{name}-{family}", "labels": {SERVICE_LABEL: name}},
            "addressType": f"IPv{family}",
            "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
            "endpoints": [{"addresses": [address], "nodeName": NODE_NAME}],
        }
    return made


@dataclass(frozen=True, slots=True)
class Difference:
    """`lines` begin with `-` where only kube-proxy has the rule, with `+` where only we have it."""

    id: str
    reason: str
    objects: Mapping[Key, Object]
    lines: tuple[str, ...]
    older: Mapping[Key, Object] = field(default_factory=dict)
    """Objects that are there before the others."""


DIFFERENCES = (
    Difference(
        "repeated-address",
        "kube-proxy writes the rules of an address as often as the Service names it; once is enough",
        service("twice", 20, externalIPs=["203.0.113.7", "203.0.113.007"]),
        (
            'IPv4 nat KUBE-SERVICES --d 203.0.113.7/32 -p tcp -m comment --comment "differences/twice external IP" -m tcp --dport 80 -j KUBE-EXT-*',
        ),
    ),
    Difference(
        "second-node-address",
        "kube-proxy looks at one address of the node in each family, and shuts a node out of a VIP that may be reached from its others",
        service("ranges", 21, ["203.0.113.9"], type="LoadBalancer", loadBalancerSourceRanges=[f"{NODE_ALTERNATIVE.v4}/32"]),
        ('IPv4 nat KUBE-FW-* +-s 203.0.113.9/32 -m comment --comment "differences/ranges loadbalancer IP" -j KUBE-EXT-*',),
    ),
    Difference(
        "contested-address",
        "with kube-proxy chance decides who has an address that two Services claim (docs/adr/0012)",
        service("second", 23, externalIPs=["203.0.113.8"]),
        (
            "IPv4 nat KUBE-EXT-* --",
            'IPv4 nat KUBE-EXT-* --m comment --comment "masquerade traffic for differences/second external destinations" -j KUBE-MARK-MASQ',
            "IPv4 nat KUBE-EXT-* --j KUBE-SVC-*",
            'IPv4 nat KUBE-SERVICES --d 203.0.113.8/32 -p tcp -m comment --comment "differences/second external IP" -m tcp --dport 80 -j KUBE-EXT-*',
        ),
        older=service("first", 22, externalIPs=["203.0.113.8"]),
    ),
)


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: difference.id)
def test_a_difference_is_the_documented_one(laboratory: Laboratory, difference: Difference, record_property: Report) -> None:
    laboratory.api.put(difference.older)
    with laboratory.trial(DEFAULTS, ("nft",), {**difference.older, **difference.objects}) as trial:
        found = trial.compare(difference.lines)["nft"].differences
    assert list(map(without_hashes, found)) == list(difference.lines)
    record_property("compared", f"{difference.id}: {len(found)} differences, as {difference.reason}")
