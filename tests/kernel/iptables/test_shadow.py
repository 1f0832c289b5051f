"""The rules of the real kube-proxy do what the agent would do, for every Service; where somebody breaks one, its Service is named."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from functools import partial

import pytest
from tests.kernel.iptables.comparison import Laboratory
from tests.kernel.iptables.generated import Generator
from tests.kernel.iptables.settings import Setting, proxy_config
from tests.kernel.iptables.sides import BACKENDS, Side, kube_proxy, side
from tests.kernel.traffic.manifest import EVERYWHERE
from tests.support.polling import eventually
from tests.support.scenarios.cases import rounds_of
from tests.support.scenarios.configs import CONFIGS
from tests.support.scenarios.objects import Key
from tests.support.scenarios.scenario import Object, load
from tests.support.simulator.iptables.mode import IptablesMode
from tests.support.simulator.modes import SimulatedPipeline

from proxyconfig_agent.checks.shadow.comparison import Compared, compared, differences
from proxyconfig_agent.checks.shadow.flows import NodeAddresses
from proxyconfig_agent.checks.shadow.reader import read
from proxyconfig_agent.checks.shadow.report import shadow_of
from proxyconfig_agent.node.addresses import rtnetlink
from proxyconfig_agent.node.settings import resolve
from proxyconfig_api.objects.proxyconfig import ProxyConfig

pytestmark = [pytest.mark.kernel, pytest.mark.apiserver, pytest.mark.timeout(300)]

IPTABLES = Setting("shadow")
NFTABLES = Setting("shadow", mode="nftables", node_port_addresses=tuple(EVERYWHERE))
SETTLED_WITHIN_S = 120
_SERVICE = re.compile(r'^-A (KUBE-SEP-\S+) .*--comment "?([a-z0-9-]+/[a-z0-9-]+).* DNAT', re.MULTILINE)

Find = Callable[..., list[Compared]]


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_real_kube_proxy_matches_until_a_rule_is_broken(laboratory: Laboratory, backend: str) -> None:
    drawn = Generator(seed=7)
    drawn.add(20)
    with side(laboratory.control_plane, "node", backend) as place:
        find = _settled(laboratory, place, IPTABLES, drawn.objects())
        chain, service = _SERVICE.findall(place.save(4))[0]
        place.namespace.run(f"iptables-{backend}", "-t", "nat", "-F", chain)

        assert _differing(find()) == [service]


def test_the_real_kube_proxy_matches_in_nftables_mode_until_a_rule_is_broken(laboratory: Laboratory) -> None:
    """All Services that the table of scenarios has for a proxy with defaults."""
    objects = next(each for each in rounds_of(load(), mode="nftables") if each.config == "default").objects
    with side(laboratory.control_plane, "node", "nft") as place:
        find = _settled(laboratory, place, NFTABLES, objects)
        broken = {_emptied(place, "ip", 0), _emptied(place, "ip6", -1)}

        assert set(_differing(find(broken, every=8))) == broken

        place.namespace.run("nft", "insert rule ip kube-proxy services ip ttl 7 drop")
        (found,) = find({"row-035/web"}, every=1000)
        assert "has a rule that cannot be read (only an address or the protocol of the network header is known here" in found.difference


def _settled(laboratory: Laboratory, place: Side, setting: Setting, objects: Mapping[Key, Object]) -> Find:
    """A comparison of rules that kube-proxy has left, which was once without any difference."""
    mark = laboratory.api.put(objects)
    find = partial(_compared, place, setting, objects)
    with kube_proxy(laboratory.control_plane, place, setting, laboratory.folder):
        if setting.mode == "iptables":
            place.tables(mark)
        else:
            eventually(lambda: place.namespace.run("nft", "list", "ruleset"), SETTLED_WITHIN_S, every_s=0.5, until=mark.is_in_table)
        found = eventually(find, SETTLED_WITHIN_S, every_s=1, until=lambda found: not _differing(found))
    assert shadow_of(found).score == "100%"
    assert shadow_of(found).flows > 100
    return find


def _compared(place: Side, setting: Setting, objects: Mapping[Key, Object], named: Collection[str] = (), every: int = 1) -> list[Compared]:
    """Of the Services that are named, and one in so many of the others."""
    pipeline = SimulatedPipeline(IptablesMode(), CONFIGS["default"])
    pipeline.put(objects)
    view, local = pipeline.cluster.view(), place.namespace.call(rtnetlink.read)
    settings, _ = resolve(ProxyConfig.parse(proxy_config(setting)).spec, view.node, local, ())
    theirs = place.namespace.call(read)
    chosen = [name for number, name in enumerate(view.names(), 1) if number % every == 0 or str(name) in named]
    return [compared(name, [*differences(view.select(name).ports, theirs, settings, NodeAddresses(local))]) for name in chosen]


def _differing(found: list[Compared]) -> list[str]:
    return [str(each.service) for each in found if each.difference]


def _emptied(place: Side, family: str, number: int) -> str:
    """The Service that had a chain which has no rules any more: the one with this number, by name."""
    listed = json.loads(place.namespace.run("nft", "-j", "list", "chains", family))["nftables"]
    chains = (one["chain"]["name"] for one in listed if "chain" in one)
    names = sorted(name for name in chains if name.startswith("service-") and "/" in name)
    place.namespace.run("nft", "flush", "chain", family, "kube-proxy", names[number])
    return "/".join(names[number].split("-", 2)[2].split("/")[:2])
