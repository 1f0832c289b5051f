"""`python -m proxyconfig_agent.checks.probes.pod`, in a separate pod on the node: serves until SIGTERM.

The environment has POD_UID. It knows nothing of the cluster and talks to no API server: its agent sends it what to ask.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

from proxyconfig_agent.checks.probes.pod.server import server
from proxyconfig_agent.checks.probes.prober import probe
from proxyconfig_api.objects.names import PROBE_PORT
from proxyconfig_client.process import logs


def _end(_number: int, _frame: FrameType | None) -> None:
    sys.exit()


if __name__ == "__main__":
    logs.configure()
    for number in (signal.SIGTERM, signal.SIGINT):  # the first process of a container has no default for them
        signal.signal(number, _end)
    server(os.environ["POD_UID"], probe, "", PROBE_PORT).serve_forever()
