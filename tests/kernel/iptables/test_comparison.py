"""kube-proxy and our agent make the same tables of the same Services: rule by rule, as iptables-save prints them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.kernel.iptables.comparison import Laboratory
from tests.kernel.iptables.generated import Generator
from tests.kernel.iptables.settings import Setting
from tests.kernel.iptables.sides import BACKENDS

pytestmark = [pytest.mark.kernel, pytest.mark.apiserver, pytest.mark.timeout(600)]

SERVICES, CHANGES, STEPS = 360, 60, 3
SETTINGS = (
    Setting("defaults"),
    Setting(
        "masquerade-all",
        masquerade_all=True,
        masquerade_bit=15,
        localhost=False,
        node_port_addresses=("192.168.50.0/24",),  # none of IPv6: all of them
        liberal=True,
    ),
    Setting(
        "node-port-networks",
        detect="BridgeInterface",
        node_port_addresses=("192.168.50.0/24", "127.0.0.0/8", "fd00:50::/64", "::1/128"),
    ),
    Setting("node-cidr", detect="NodeCIDR", localhost=False, node_port_addresses=("192.168.50.1/32", "127.0.0.0/8", "fd00:50::9/128")),
)
LARGE = Setting("large", detect="InterfaceNamePrefix")

Report = Callable[[str, object], None]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_the_tables_are_the_same_before_and_after_changes(
    laboratory: Laboratory, setting: Setting, backend: str, record_property: Report
) -> None:
    drawn = Generator(seed=4)
    drawn.add(SERVICES)
    with laboratory.pair(setting, backend, drawn.objects()) as pair:
        for step in range(STEPS):
            if step:
                drawn.change(CHANGES)
                pair.change(drawn.objects())
            result = pair.compare()
            record_property("compared", f"{backend}, {setting.name}, step {step}: {result}")
            assert not result.differences, "\n".join(result.differences)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_tables_of_a_large_cluster_are_the_same(laboratory: Laboratory, backend: str, record_property: Report) -> None:
    """With more than 1,000 endpoints in a family, rules about single ones go without comments."""
    drawn = Generator(seed=5, endpoints=25)
    drawn.add(SERVICES)
    laboratory.api.put({})  # the Services of another seed have their ports
    with laboratory.pair(LARGE, backend, drawn.objects()) as pair:
        result = pair.compare()
    record_property("compared", f"{backend}, {LARGE.name}: {result}")
    assert not result.differences, "\n".join(result.differences)
