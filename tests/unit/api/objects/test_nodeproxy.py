from __future__ import annotations

import pytest

from proxyconfig_api.encoding.errors import InvalidSpec
from proxyconfig_api.objects.nodeproxy import Action, NodeProxy


def test_a_new_nodeproxy_has_an_action_and_an_empty_status() -> None:
    proxy = NodeProxy.parse({"metadata": {"name": "n1", "generation": 1}, "spec": {"configName": "edge", "revisionName": "edge-1"}})
    assert proxy.spec.action is Action.APPLY
    assert proxy.status.removed is None
    assert proxy.status.conditions == ()


def test_the_status_of_an_agent_is_read() -> None:
    status = {"observedRevision": "edge-1", "removed": {"objects": 0}, "quarantined": [{"service": "a/b", "reason": "no"}]}
    proxy = NodeProxy.parse(
        {"metadata": {"name": "n1"}, "spec": {"configName": "edge", "revisionName": "edge-1", "action": "Remove"}, "status": status}
    )
    assert proxy.spec.action is Action.REMOVE
    assert proxy.status.removed is not None
    assert proxy.status.removed.objects == 0
    assert proxy.status.quarantined[0].service == "a/b"


def test_an_action_that_is_not_known_is_refused() -> None:
    with pytest.raises(InvalidSpec, match=r"spec.action: must be one of Apply, Remove"):
        NodeProxy.parse({"metadata": {"name": "n1"}, "spec": {"configName": "edge", "revisionName": "edge-1", "action": "Hold"}})
