"""A model of iptables: takes what iptables-restore is fed, refuses what that refuses, and prints what iptables-save prints."""

from __future__ import annotations

from collections.abc import Iterable

from proxyconfig_agent.dataplane.iptables.delta import Edits
from proxyconfig_agent.dataplane.iptables.model.ruleset import Chain, Table
from proxyconfig_agent.dataplane.iptables.tools.restore import Input
from proxyconfig_agent.dataplane.iptables.tools.save import Saved, parse

BUILT_IN = {
    Table.FILTER: ("INPUT", "FORWARD", "OUTPUT"),
    Table.NAT: ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    Table.MANGLE: ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
}
VERDICTS = ("ACCEPT", "DROP", "REJECT", "RETURN", "MARK", "MASQUERADE", "DNAT")


class Tables:
    """The chains of one family, with their rules."""

    def __init__(self) -> None:
        self.chains: dict[Chain, list[str]] = {Chain(table, name): [] for table, names in BUILT_IN.items() for name in names}

    def commit(self, given: Input) -> None:
        """Each table at once. AssertionError: iptables would refuse it."""
        self.restore(b"".join(given.text()).decode())

    def edit(self, edits: Edits, on_top: Iterable[Chain] = ()) -> None:
        given = Input(frozenset(on_top))
        given.add(edits)
        self.commit(given)

    def restore(self, text: str) -> None:
        before, table = self._copy(), Table.FILTER
        for line in text.splitlines():
            if line.startswith("*"):
                before, table = self._copy(), Table(line[1:])
            elif line == "COMMIT":
                self._check(table)
            else:
                try:
                    self._take(table, line)
                except AssertionError:
                    self.chains = before
                    raise

    def _copy(self) -> dict[Chain, list[str]]:
        return {chain: list(rules) for chain, rules in self.chains.items()}

    def save(self) -> list[str]:
        lines = []
        for table in Table:
            mine = {chain: rules for chain, rules in self.chains.items() if chain.table is table}
            lines += [f"*{table}", *(f":{chain.name} {'ACCEPT' if _built_in(chain) else '-'} [0:0]" for chain in mine)]
            lines += [*(f"-A {chain.name} {rule}" for chain, rules in mine.items() for rule in rules), "COMMIT"]
        return lines

    def saved(self) -> Saved:
        return parse(self.save())

    def _take(self, table: Table, line: str) -> None:
        command, _, rest = line.partition(" ")
        name, _, rule = rest.partition(" ")
        if line.startswith(":"):
            self.chains[Chain(table, line[1:].split(maxsplit=1)[0])] = []
            return
        rules = self.chains.get(Chain(table, name))
        assert rules is not None, f"No chain/target/match by that name: {line}"
        match command:
            case "-A":
                rules.append(rule)
            case "-I":
                place, _, rule = rule.partition(" ")
                rules.insert(int(place) - 1, rule)
            case "-D":
                assert rule in rules, f"Bad rule (does a matching rule exist in that chain?): {line}"
                rules.remove(rule)
            case "-X":
                assert not rules, f"Directory not empty: {line}"
                del self.chains[Chain(table, name)]
            case _:
                raise AssertionError(line)

    def _check(self, table: Table) -> None:
        for chain, rules in self.chains.items():
            for rule in rules:
                name = rule.partition("-j ")[2].split(" ", 1)[0]
                known = Chain(table, name) in self.chains or name in VERDICTS or "-j " not in rule
                assert chain.table is not table or known, f"{chain.name} leads to {name}, which is not there"


def _built_in(chain: Chain) -> bool:
    return chain.name in BUILT_IN[chain.table]
