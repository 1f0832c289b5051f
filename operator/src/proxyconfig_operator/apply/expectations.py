"""Whether the caches show what this operator has written itself: a wave that is not seen yet would be followed by the next one.

ReplicaSet controllers keep such expectations for the same reason. They are forgotten after a while, so that a write that was lost, or
undone by somebody else, holds up nothing for long; and a new operator has none, as its caches were filled after all writes of the old one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from proxyconfig_api.encoding import codec
from proxyconfig_api.objects.nodeproxy import NodeProxy, NodeProxySpec
from proxyconfig_api.status.rollout import RolloutStatus
from proxyconfig_operator.decide.snapshot import Snapshot
from proxyconfig_operator.model.writes import Apply, Resource, Write

PATIENCE_S = 30.0
"""Watches are seconds behind at most; what is longer behind is broken, and listed again."""


@dataclass(frozen=True, slots=True)
class _Expected:
    rollout: RolloutStatus | None
    orders: dict[str, NodeProxySpec]
    """By node."""
    until: float


class Expectations:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` is monotonic, in seconds."""
        self._clock = clock
        self._expected: dict[str, _Expected] = {}

    def expect(self, config: str, rollout: RolloutStatus | None, writes: Iterable[Write]) -> None:
        """Note what is about to be written for a ProxyConfig."""
        orders = {
            each.name: codec.decode(each.body["spec"], NodeProxySpec)
            for each in writes
            if isinstance(each, Apply) and each.resource is Resource.NODE_PROXY
        }
        self._expected[config] = _Expected(rollout, orders, self._clock() + PATIENCE_S)

    def forget(self, config: str) -> None:
        """Expect nothing: the API server has refused something of it, which the next pass has to report."""
        self._expected.pop(config, None)

    def are_met(self, config: str, snapshot: Snapshot) -> bool:
        """Whether the snapshot has everything that was written for a ProxyConfig; nothing is expected any more then."""
        expected = self._expected.get(config)
        if expected is None:
            return True
        met = self._clock() >= expected.until or (
            snapshot.configs[config].status.rollout == expected.rollout
            and all(_has(snapshot.proxies.get(node), order) for node, order in expected.orders.items() if node in snapshot.nodes)
        )
        if met:
            del self._expected[config]
        return met


def _has(proxy: NodeProxy | None, order: NodeProxySpec) -> bool:
    return proxy is not None and proxy.spec == order
