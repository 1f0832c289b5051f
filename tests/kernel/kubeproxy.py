"""A process of the real kube-proxy that knows its node's zone.

kube-proxy 1.36 may miss the zone for good: it starts to watch its Node before it registers who is to be told of the zone
(cmd/kube-proxy/app/server.go, `NewNodeTopologyConfig` and `RegisterEventHandler`), and tells only of changes. Such a kube-proxy ignores
all zone hints: one of 200 starts did on a busy machine.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.support.netns.process import ended
from tests.support.polling import eventually

FLAGS = ("--vmodule=config=4",)
"""Have the log show each notification."""
FLAGS_OF_IPVS = ("--vmodule=config=4,proxier=4",)
"""The end of each sync, too."""
STARTS = 5
REGISTERED, TOLD = "Starting node config controller", "Calling handler.OnTopologyChange"
REGISTERED_WITHIN_S, TOLD_WITHIN_S = 60, 10

Start = Callable[[], subprocess.Popen[str]]


class NotToldError(AssertionError):
    """kube-proxy does not know its node's zone; the message ends with its last words."""


@contextlib.contextmanager
def running(start: Start, log: Path) -> Iterator[None]:
    """A process that `start` starts, writing to `log`; another one as often as it misses the zone. Ended at the end."""
    for attempt in range(STARTS):
        with ended(start()) as process:
            try:
                _wait_for_zone(process, log)
            except NotToldError:
                if attempt == STARTS - 1:
                    raise
                continue
            yield
            return


def syncs_of_ipvs(log: Path) -> dict[str, int]:
    """How many syncs have come to their end, by family, in ipvs mode with its flags."""
    ends = [line for line in log.read_text().splitlines() if "syncProxyRules complete" in line]
    return {family: sum(f'ipFamily="{family}"' in line for line in ends) for family in ("IPv4", "IPv6")}


def _wait_for_zone(process: subprocess.Popen[str], log: Path) -> None:
    """Raise NotToldError where who is to be told is registered, and was not told soon after."""
    eventually(lambda: REGISTERED in log.read_text() or process.poll() is not None, REGISTERED_WITHIN_S)
    assert process.poll() is None, f"kube-proxy ended with {process.returncode}: {_words(log)}"
    try:
        eventually(lambda: TOLD in log.read_text(), TOLD_WITHIN_S)
    except AssertionError as error:
        raise NotToldError(_words(log)) from error


def _words(log: Path) -> str:
    return log.read_text()[-2000:]
