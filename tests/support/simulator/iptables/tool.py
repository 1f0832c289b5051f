"""iptables' programs without programs: `iptables-restore` and `iptables-save` of tables in memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from tests.support.simulator.iptables.tables import Tables

from proxyconfig_agent.dataplane.iptables.tools.binaries import Backend, Tool
from proxyconfig_agent.dataplane.iptables.tools.program import ToolError
from proxyconfig_agent.ingest.model import Family

_BLOCK = re.compile(r"\*.*?^COMMIT\n", re.MULTILINE | re.DOTALL)


class SimulatedTool(Tool):
    """`before_commit` is called before every table's commit, and makes it fail by what it raises; `after_commit` after those that
    did not fail. Every table of an input is committed by itself, as the real program does."""

    def __init__(self, family: Family, tables: Tables) -> None:
        super().__init__(family, Backend.NFT)
        self.tables = tables
        self.commits = 0
        self.longest_input = 0
        """In lines."""
        self.before_commit: Callable[[], None] = _nothing
        self.after_commit: Callable[[], None] = _nothing

    def save(self, table: str = "") -> Iterator[str]:
        assert not table
        return iter([f"{line}\n" for line in self.tables.save()])

    def restore(self, text: Iterable[bytes | bytearray], *, test: bool = False) -> None:
        assert not test
        given = b"".join(text).decode()
        self.longest_input = max(self.longest_input, given.count("\n"))
        for block in _BLOCK.findall(given):
            self.before_commit()
            try:
                self.tables.restore(block)
            except AssertionError as refusal:
                raise ToolError(str(refusal)) from refusal
            self.commits += 1
            self.after_commit()

    def version(self) -> str:
        return "1.8.9"


def _nothing() -> None:
    pass
