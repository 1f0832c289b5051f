from __future__ import annotations

import pytest

from proxyconfig_api.objects import heartbeat, names


@pytest.mark.parametrize("node", ["n1", "agent-7", "proxyconfig-operator", "ip-10-0-0-7.eu-central-1.compute.internal"])
def test_a_lease_belongs_to_one_node_and_is_never_the_leaders(node: str) -> None:
    assert heartbeat.node_of(heartbeat.lease_of(node)) == node
    assert heartbeat.lease_of(node) != names.OPERATOR


def test_another_lease_belongs_to_no_node() -> None:
    assert heartbeat.node_of(names.OPERATOR) == ""


def test_the_selector_names_every_label() -> None:
    assert dict(part.split("=") for part in heartbeat.SELECTOR.split(",")) == dict(heartbeat.LABELS)


def test_a_heartbeat_expires_only_after_three_renewals_have_failed() -> None:
    assert heartbeat.GRACE_S >= 3 * heartbeat.RENEW_S
