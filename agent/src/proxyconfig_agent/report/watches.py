"""Which watches of the API server are down: rules that work can still be out of date. For conditions and metrics; no I/O."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from proxyconfig_agent.state.findings import Finding, Topic
from proxyconfig_client.watch.reflector import Reflector
from proxyconfig_client.watch.state import ReflectorState

DOWN_S = 60.0
"""A watch that has been down for less was interrupted as watches are: by a restart of an API server, or by a load balancer."""


class Watches:
    """The newest state of each reflector. `clock` is monotonic, in seconds; `on_connected` gets a resource, and whether it is watched."""

    def __init__(self, clock: Callable[[], float], on_connected: Callable[[str, bool], None]) -> None:
        self._clock, self._on_connected = clock, on_connected
        self._states: dict[str, ReflectorState] = {}
        self._down_since: dict[str, float] = {}

    def follow(self, *reflectors: Reflector[Any]) -> None:
        for reflector in reflectors:
            self.update(reflector.state)
            reflector.on_state = self.update

    def update(self, state: ReflectorState) -> None:
        self._states[state.path] = state
        if state.error:
            self._down_since.setdefault(state.path, self._clock())
        elif state.connected or state.absent:
            self._down_since.pop(state.path, None)
        if not state.absent:
            self._on_connected(_resource(state.path), state.connected)

    def findings(self) -> tuple[Finding, ...]:
        """A list that has never succeeded, and a watch that has been down for DOWN_S, with the server's words; by resource."""
        now = self._clock()
        down = sorted(path for path, since in self._down_since.items() if now - since >= DOWN_S or not self._states[path].synced)
        return tuple(_finding(self._states[path]) for path in down if self._states[path].error)


def _finding(state: ReflectorState) -> Finding:
    resource = _resource(state.path)
    if not state.synced:
        text = f"{resource} cannot be listed, which the first sync waits for: {state.error}"
        return Finding(Topic.WATCHES, "ListFailed", text)
    text = f"the watch of {resource} is down, so the node's rules may be out of date: {state.error}"
    return Finding(Topic.WATCHES, "WatchDown", text)


def _resource(path: str) -> str:
    return path.rpartition("/")[2]
