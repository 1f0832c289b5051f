"""A batch that iptables-restore refuses: the Services at fault are found, and all others are programmed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

import pytest
from msgspec.structs import replace
from tests.support.simulator.iptables.mode import Commits
from tests.support.simulator.iptables.tables import Tables
from tests.support.simulator.iptables.tool import SimulatedTool
from tests.unit.agent.dataplane.nftables.frontends import frontends

from proxyconfig_agent.dataplane.iptables.kernel.change_tracker import ChangeTracker
from proxyconfig_agent.dataplane.iptables.model.ruleset import Features
from proxyconfig_agent.dataplane.iptables.sync.bisect import Bisection
from proxyconfig_agent.dataplane.iptables.sync.renderer import RuleRenderer
from proxyconfig_agent.dataplane.iptables.tools.program import LockedError, ToolError
from proxyconfig_agent.dataplane.iptables.tools.writer import Writer
from proxyconfig_agent.dataplane.port import Change, DataplaneError, Refusal, Settings
from proxyconfig_agent.ingest.model import Family, ServiceName
from proxyconfig_agent.select.frontends import Frontends


class Picky(SimulatedTool):
    """Refuses any input that has one of some texts in it."""

    def __init__(self, refuses: Collection[str] = (), error: Callable[[str], ToolError] = ToolError) -> None:
        super().__init__(Family.IPV4, Tables())
        self.refuses, self.error = refuses, error

    def restore(self, text: Iterable[bytes | bytearray], *, test: bool = False) -> None:
        given = b"".join(text)
        for each in self.refuses:
            if each in given.decode():
                raise self.error(f"line 7: {each} is too much")
        super().restore([given], test=test)


def bisection(tool: SimulatedTool) -> tuple[Bisection, dict[ServiceName, Refusal]]:
    tools = {Family.IPV4: tool}
    refused: dict[ServiceName, Refusal] = {}
    return Bisection(Writer(tools, ChangeTracker(Commits(tools))), RuleRenderer(Family.IPV4, Settings(), Features()), refused), refused


def ports(*names: str) -> list[Frontends]:
    return [frontends(name, f"10.96.0.{at + 1}", (f"10.0.0.{at + 1}:80",)) for at, name in enumerate(names)]


def new(wanted: Iterable[Frontends]) -> list[Change]:
    return [Change(None, each) for each in wanted]


def programmed(wanted: Iterable[Frontends]) -> Tables:
    """What tables with only these have."""
    tool = Picky()
    bisection(tool)[0].carry_out(new(wanted))
    return tool.tables


def name(service: str) -> ServiceName:
    return ServiceName("shop", service)


@pytest.mark.parametrize("bad", [["a"], ["h"], ["c", "d"], ["a", "e", "h"]], ids=", ".join)
def test_the_services_at_fault_are_refused_with_iptables_words_and_all_others_programmed(bad: list[str]) -> None:
    tool, wanted = Picky([f"shop/{each}:" for each in bad]), ports(*"abcdefgh")
    found, refused = bisection(tool)
    assert found.carry_out(new(wanted)) > 0
    assert {each.service.name: each.reason for each in refused.values()} == {each: f"line 7: shop/{each}: is too much" for each in bad}
    assert tool.tables.chains == programmed(each for each in wanted if each.name.service.name not in bad).chains


def test_services_that_changed_keep_nothing_of_what_they_were() -> None:
    tool, before = Picky(), ports("a", "b", "bad")
    found, refused = bisection(tool)
    found.carry_out(new(before))
    tool.refuses = ["shop/bad:"]
    after = [frontends(each.name.service.name, f"10.96.0.{at + 1}", ("10.0.1.1:80",)) for at, each in enumerate(before)]
    found.carry_out([Change(old, changed) for old, changed in zip(before, after, strict=True)])
    assert list(refused) == [name("bad")]
    tool.refuses = ()  # iptables takes deletions
    found.take_out([before[2], after[2]])
    assert tool.tables.chains == programmed(after[:2]).chains


def test_ports_of_one_service_are_refused_together() -> None:
    tool, (other,) = Picky(["shop/web:bad"]), ports("other")
    web = [frontends("web", "10.96.0.8", ("10.0.0.8:80",)), frontends("web", "10.96.0.8", ("10.0.0.8:81",), port=81, port_name="bad")]
    found, refused = bisection(tool)
    found.carry_out(new([*web, other]))
    assert list(refused) == [name("web")]
    assert tool.tables.chains == programmed([other]).chains


def test_a_service_that_the_agent_fails_on_is_refused_with_its_trace() -> None:
    unforeseen: Any = None
    tool, (bad, *others) = Picky(), ports("bad", "a", "b")
    found, refused = bisection(tool)
    found.carry_out(new([replace(bad, external_ips=(unforeseen,)), *others]))
    assert "Traceback" in refused[name("bad")].trace
    assert tool.tables.chains == programmed(others).chains


def test_a_held_lock_is_no_services_fault() -> None:
    found, refused = bisection(Picky(["shop/b:"], LockedError))
    with pytest.raises(LockedError):
        found.carry_out(new(ports("a", "b")))
    assert not refused


def test_a_refusal_of_the_rules_of_every_node_is_no_services_fault() -> None:
    found, refused = bisection(Picky(["KUBE-MARK-MASQ"]))
    with pytest.raises(DataplaneError, match="KUBE-MARK-MASQ is too much"):
        found.carry_out(new(ports("a", "b")))
    assert not refused


def test_a_refused_service_is_taken_out_whatever_is_there_of_it() -> None:
    tool, wanted = Picky(), ports("a", "b")
    found, _ = bisection(tool)
    found.carry_out(new(wanted))
    assert found.take_out(wanted[:1]) > 0
    assert tool.tables.chains == programmed(wanted[1:]).chains
    assert found.take_out(wanted[:1]) == 0
