"""kube-proxy and our agent make the same tables of the same Services: rule by rule, as iptables-save prints them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from tests.kernel.iptables.comparison import Laboratory, Result
from tests.kernel.iptables.generated import Generator
from tests.kernel.iptables.settings import Setting
from tests.kernel.iptables.sides import BACKENDS

pytestmark = [pytest.mark.kernel, pytest.mark.apiserver, pytest.mark.timeout(600)]

SERVICES, CHANGES, STEPS = 360, 60, 3
MANY, ENDPOINTS = 360, 25
"""More than 1,000 endpoints in a family, however they are counted: kube-proxy counts those that no rule leads to, too."""
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


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_the_tables_are_the_same_before_and_after_changes(laboratory: Laboratory, setting: Setting, record_property: Report) -> None:
    drawn = Generator(seed=4)
    drawn.add(SERVICES)
    with laboratory.trial(setting, BACKENDS, drawn.objects()) as trial:
        for step in range(STEPS):
            if step:
                drawn.change(CHANGES)
                trial.change(drawn.objects())
            results = trial.compare()
            _report(record_property, results, f"{setting.name}, step {step}")


def test_the_tables_of_a_large_cluster_are_the_same(laboratory: Laboratory, record_property: Report) -> None:
    """With more than 1,000 endpoints in a family, rules about single ones go without comments."""
    drawn = Generator(seed=5, endpoints=ENDPOINTS)
    drawn.add(MANY)
    laboratory.api.put({})  # the Services of another seed have their ports
    with laboratory.trial(LARGE, BACKENDS, drawn.objects()) as trial:
        results = trial.compare()
    _report(record_property, results, LARGE.name)


def _report(record_property: Report, results: Mapping[str, Result], what: str) -> None:
    for backend, result in results.items():
        record_property("compared", f"{backend}, {what}: {result}")
    assert not any(result.differences for result in results.values()), "\n".join(
        f"{backend} {line}" for backend, result in results.items() for line in result.differences
    )
