"""Inputs of iptables-restore as transactions of one node: both families' tools, and who else wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from proxyconfig_agent.dataplane.iptables.kernel.change_tracker import ChangeTracker, tracker
from proxyconfig_agent.dataplane.iptables.tools.binaries import Backend, Tool, left_by_legacy
from proxyconfig_agent.dataplane.iptables.tools.restore import Input
from proxyconfig_agent.dataplane.iptables.tools.save import Saved, parse
from proxyconfig_agent.ingest.model import Family


class Writer:
    """`tools` of the families that this node has, all of one back end; `former` are those of a back end that it used before."""

    def __init__(self, tools: Mapping[Family, Tool], changes: ChangeTracker, former: Callable[[], Iterable[Tool]] = tuple) -> None:
        self.tools, self.changes, self.former = tools, changes, former

    @property
    def backend(self) -> Backend:
        return next(iter(self.tools.values())).backend

    def read(self, family: Family) -> Saved:
        """Raises ToolError."""
        return parse(self.tools[family].save())

    def read_again(self, family: Family) -> Saved:
        """After a commit that failed, and of which some tables may have been carried out. Raises ToolError, OSError."""
        self.changes.begin_read()
        return self.read(family)

    def commit(self, family: Family, given: Input) -> int:
        """Carry it out; how many operations it was. Each table of it is atomic, not all together: after ToolError only `read` knows."""
        if given.commits:
            self.changes.writing()
            self.tools[family].restore(given.text())
            self.changes.written(given.commits)
        return given.operations

    def pour(self, family: Family, given: Input, growing: Iterable[object]) -> int:
        """Like `commit`, while `growing` still adds to the input."""
        self.changes.writing()
        self.tools[family].pour(given.text_while(growing))
        self.changes.written(1 + given.commits)
        return given.operations


def writer(tools: Mapping[Family, Tool]) -> Writer:
    """Raises OSError."""
    backend = next(iter(tools.values())).backend
    return Writer(tools, tracker(backend, tools.keys()), partial(left_by_legacy, backend))
