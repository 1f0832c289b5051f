"""What load balancers are to be told follows what the kernel has: after each sync, for Services that could be programmed."""

from __future__ import annotations

from tests.unit.agent.examples import piece, ready, service
from tests.unit.agent.sync.test_runner import Rig

from proxyconfig_agent.ingest.model import ServiceName

WEB = ServiceName("shop", "web")


def counted(rig: Rig) -> dict[str, int]:
    return {str(check.service): check.local_endpoints for check in rig.programmed.health_checks()}


def test_counts_follow_syncs_and_other_services_are_no_change() -> None:
    rig = Rig()
    rig.cluster.put_service(service(health_check_node_port=30099))
    rig.cluster.put_slice(piece(("10.0.0.1", ready("here"))))
    assert counted(rig) == {}
    rig.advance(1)
    assert counted(rig) == {"shop/web": 1}
    before = rig.programmed.health_checks_changed
    rig.cluster.put_service(service("other", "10.96.0.11"))
    rig.cluster.put_slice(piece(("10.0.0.2", ready("here")), of="other", name="other-1"))
    rig.advance(1)
    assert rig.programmed.health_checks_changed == before
    rig.cluster.put_slice(piece(("10.0.0.1", ready("here")), ("10.0.0.3", ready("here"))))
    rig.advance(1)
    assert counted(rig) == {"shop/web": 2}
    assert rig.programmed.health_checks_changed > before
    rig.cluster.drop_service(WEB)
    rig.advance(1)
    assert counted(rig) == {}


def test_a_service_that_cannot_be_programmed_has_no_endpoints_here() -> None:
    rig = Rig()
    rig.dataplane.refuses = {WEB}
    rig.cluster.put_service(service(health_check_node_port=30099))
    rig.cluster.put_slice(piece(("10.0.0.1", ready("here"))))
    rig.advance(1)
    assert counted(rig) == {"shop/web": 0}
    rig.dataplane.refuses.clear()
    rig.cluster.put_slice(piece(("10.0.0.1", ready("here")), ("10.0.0.2", ready("there"))))
    rig.advance(1)
    assert counted(rig) == {"shop/web": 1}
