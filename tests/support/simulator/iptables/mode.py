"""Our iptables mode in front of tables in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from random import Random

from tests.support.simulator.iptables.damage import damage
from tests.support.simulator.iptables.tables import BUILT_IN, Tables
from tests.support.simulator.iptables.tool import SimulatedTool
from tests.support.simulator.node import NetnsNode

from proxyconfig_agent.checks.walker.iptables.rules import IptablesRules
from proxyconfig_agent.checks.walker.path import Memory
from proxyconfig_agent.dataplane.iptables.iptables import Iptables
from proxyconfig_agent.dataplane.iptables.kernel.change_tracker import ChangeTracker
from proxyconfig_agent.dataplane.iptables.model.canonical import normal
from proxyconfig_agent.dataplane.iptables.model.ruleset import Features
from proxyconfig_agent.dataplane.iptables.sync.reconcile import KUBELET, SHARED
from proxyconfig_agent.dataplane.iptables.tools.program import ToolError
from proxyconfig_agent.dataplane.iptables.tools.writer import Writer
from proxyconfig_agent.dataplane.modes.ownership import Ownership
from proxyconfig_agent.ingest.model import Family

State = Mapping[str, object]
_normal = cache(normal)


class IptablesMode:
    """See `modes.Mode`."""

    name = "iptables"
    node = NetnsNode()

    def __init__(self, tables: Mapping[Family, Tables] | None = None) -> None:
        self._tables = tables or {family: Tables() for family in Family}
        self.tools = {family: SimulatedTool(family, each) for family, each in self._tables.items()}
        self.dataplane = _Simulated(self.tools)
        self.rules = IptablesRules({family.value: each for family, each in self._tables.items()})

    def restarted(self) -> IptablesMode:
        return IptablesMode(self._tables)

    def state(self) -> State:
        """Of built-in chains and those of all Services only what is to be last has an order. The kubelet's chain is left out."""
        state: dict[str, object] = {}
        for family, tables in self._tables.items():
            for chain, rules in tables.chains.items():
                forms: object = [_normal(rule) for rule in rules]
                if chain in SHARED or chain.name in BUILT_IN[chain.table]:
                    forms = (sorted(map(_normal, rules)), _lasts_are_last(rules))
                if chain != KUBELET:
                    state[f"{family.value} {chain.table} {chain.name}"] = forms
        return state

    def remembered(self, memory: Memory) -> Memory:
        """A list of addresses is there as long as a rule names it (xt_recent)."""
        rules = [rule for tables in self._tables.values() for rules in tables.chains.values() for rule in rules]
        named = {words[words.index("--name") + 1] for words in map(str.split, rules) if "--name" in words}
        return Memory({key: value for key, value in memory.items() if key[0] in named})

    def observe(self, before: Callable[[], None], after: Callable[[], None]) -> None:
        for tool in self.tools.values():
            tool.before_commit, tool.after_commit = before, after

    def damage(self, random: Random) -> None:
        tool = self.tools[random.choice(list(self.tools))]
        damage(tool.tables, random)
        tool.commits += 1

    @staticmethod
    def refusal(number: int) -> Exception:
        return ToolError(f"error {number}")


def _lasts_are_last(rules: list[str]) -> bool:
    lasts = ["this must be the last rule" in rule for rule in rules]
    return lasts == sorted(lasts)


class _Simulated(Iptables):
    """With tools of ours, and without looking at the machine that the test runs on."""

    def __init__(self, tools: Mapping[Family, SimulatedTool]) -> None:
        super().__init__()
        self._owned = self.ownership = _Forgetful()
        self._opened = Writer(tools, ChangeTracker(Commits(tools)))

    def _features(self) -> Features:
        return Features()


class Commits:
    """The state of the rules is how often somebody wrote."""

    def __init__(self, tools: Mapping[Family, SimulatedTool]) -> None:
        self._tools = tools

    def state(self) -> int:
        return sum(tool.commits for tool in self._tools.values())

    def may_affect_us(self, before: int, after: int) -> bool:
        return before != after

    def follows(self, before: int, after: int, commits: int) -> bool:
        return after - before == commits

    def close(self) -> None:
        pass


class _Forgetful(Ownership):
    """Leaves no file behind."""

    def __init__(self) -> None:
        self._claimed = False

    def __bool__(self) -> bool:
        return self._claimed

    def claim(self) -> str:
        self._claimed = True
        return ""

    def release(self) -> None:
        self._claimed = False
