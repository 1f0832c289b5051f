"""The rules of the real kube-proxy do what the agent would do, for every Service; where somebody breaks one, its Service is named."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from tests.kernel.iptables.comparison import Laboratory
from tests.kernel.iptables.generated import Generator
from tests.kernel.iptables.settings import Setting, proxy_config
from tests.kernel.iptables.sides import BACKENDS, Side, kube_proxy, side
from tests.support.polling import eventually
from tests.support.scenarios.configs import CONFIGS
from tests.support.scenarios.objects import Key
from tests.support.scenarios.scenario import Object
from tests.support.simulator.iptables.mode import IptablesMode
from tests.support.simulator.modes import SimulatedPipeline
from tests.support.simulator.node import NetnsNode

from proxyconfig_agent.checks.shadow.comparison import Compared, compare
from proxyconfig_agent.checks.shadow.flows import NodeAddresses
from proxyconfig_agent.checks.shadow.reader import read
from proxyconfig_agent.checks.shadow.report import shadow_of
from proxyconfig_agent.node.addresses import rtnetlink
from proxyconfig_agent.node.settings import resolve
from proxyconfig_api.objects.proxyconfig import ProxyConfig

pytestmark = [pytest.mark.kernel, pytest.mark.apiserver, pytest.mark.timeout(300)]

SETTING = Setting("shadow")
SETTLED_WITHIN_S = 60
_SERVICE = re.compile(r'^-A (KUBE-SEP-\S+) .*--comment "?([a-z0-9-]+/[a-z0-9-]+).* DNAT', re.MULTILINE)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_real_kube_proxy_matches_until_a_rule_is_broken(laboratory: Laboratory, backend: str) -> None:
    drawn = Generator(seed=7)
    drawn.add(20)
    mark = laboratory.api.put(drawn.objects())
    with side(laboratory.control_plane, "node", backend) as place:
        with kube_proxy(laboratory.control_plane, place, SETTING, laboratory.folder):
            place.tables(mark)
            eventually(lambda: _shadow(place, drawn.objects()), SETTLED_WITHIN_S, every_s=1, until=lambda found: not _differing(found))
        found = _shadow(place, drawn.objects())
        assert shadow_of(found).score == "100%"
        assert shadow_of(found).flows > 100

        chain, service = _SERVICE.findall(place.save(4))[0]
        place.namespace.run(f"iptables-{backend}", "-t", "nat", "-F", chain)

        assert _differing(_shadow(place, drawn.objects())) == [service]


def _shadow(place: Side, objects: Mapping[Key, Object]) -> list[Compared]:
    pipeline = SimulatedPipeline(IptablesMode(), NetnsNode(), CONFIGS["default"])
    pipeline.put(objects)
    view, local = pipeline.cluster.view(), place.namespace.call(rtnetlink.read)
    settings, _ = resolve(ProxyConfig.parse(proxy_config(SETTING)).spec, view.node, local, ())
    theirs = place.namespace.call(read)
    return [compare(name, view.select(name).ports, theirs, settings, NodeAddresses(local)) for name in view.names()]


def _differing(found: list[Compared]) -> list[str]:
    return [str(each.service) for each in found if each.difference]
