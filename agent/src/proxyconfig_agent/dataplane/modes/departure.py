"""Modes leave a node that somebody else serves: another mode of ours, or a kube-proxy. Each goes when no connection needs it any more."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

import structlog

from proxyconfig_agent.dataplane.port import Lifecycle

_log = structlog.get_logger("takeover")


class Departure:
    """Of those of the modes that have anything in the kernel; `gone` is called when nothing of them is left to wait for.

    All calls raise DataplaneError or OSError."""

    def __init__(self, found: Iterable[Lifecycle], gone: Callable[[], None] = lambda: None) -> None:
        self._gone, self.left = gone, list[str]()
        """What a scan found of those that have retired."""
        self._leaving = [each for each in found if _is_here(each)]

    @property
    def is_over(self) -> bool:
        return not self._leaving

    def step(self, drain_s: float) -> bool:
        """Let them retire further, and end what has not `drain_s` after the first call; whether all have."""
        self._leaving = [each for each in self._leaving if not self._retired(each, drain_s)]
        if self.is_over:
            self._gone()
        return self.is_over

    def close(self) -> None:
        """What is in the kernel stays."""
        for each in self._leaving:
            each.close()
        self._leaving = []

    def _retired(self, mode: Lifecycle, drain_s: float) -> bool:
        if not mode.retire(drain_s):
            return False
        with contextlib.closing(mode):
            left = mode.scan()
        _log.info("another mode is gone", left=len(left))
        self.left += left
        return True


def _is_here(mode: Lifecycle) -> bool:
    """Whether it has anything in the kernel."""
    if objects := len(mode.scan()):
        _log.info("another mode retires", objects=objects)
        return True
    mode.close()
    return False
