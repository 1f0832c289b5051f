"""What changes of the cluster set off: a sync of what is dirty, or a new look at what the node should do."""

from __future__ import annotations

from collections.abc import Callable

from proxyconfig_agent.controller.active.active_runner import ActiveRunner
from proxyconfig_agent.ingest import apitypes
from proxyconfig_agent.ingest.nodes import node_of
from proxyconfig_agent.report.recorder import StatusRecorder
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_client.watch.objects import Key


class ClusterChanges:
    """The ClusterListener of the informers; `wake` is called when the controller has to look at its inputs again."""

    def __init__(self, *, cluster: ClusterState, recorder: StatusRecorder, runner: ActiveRunner, wake: Callable[[], None]) -> None:
        self._cluster, self._recorder, self._runner, self._wake = cluster, recorder, runner, wake

    def service_changed(self, times: int = 1) -> None:
        self._recorder.changed(services=times)
        self._sync()

    def endpoints_changed(self, times: int = 1) -> None:
        self._recorder.changed(endpoints=times)
        self._sync()

    def cidrs_changed(self) -> None:
        self._wake()

    def node_changed(self, _key: Key, item: apitypes.Node | None) -> None:
        """A Node object that is gone changes nothing here: the node is still there, and so are its pods."""
        node = node_of(item) if item else self._cluster.node
        if self._cluster.put_node(node):
            self._wake()
            self._sync()
        self._recorder.node(node, known=item is not None)

    def _sync(self) -> None:
        if self._runner.wake():
            self._recorder.waiting()
