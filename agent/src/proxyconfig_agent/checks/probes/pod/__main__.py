"""`python -m proxyconfig_agent.checks.probes.pod`, in a separate pod on the node: serves until SIGTERM.

The environment has POD_UID. It knows nothing of the cluster and talks to no API server: its agent sends it what to ask.
"""

from __future__ import annotations

import asyncio
import os
import signal

from proxyconfig_agent.checks.probes.pod.server import Server
from proxyconfig_agent.checks.probes.prober import probe
from proxyconfig_api.objects.names import PROBE_PORT


async def _serve(uid: str) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):  # the first process of a container has no default for them
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with await asyncio.start_server(Server(uid, probe).answer, port=PROBE_PORT):
        await stopped.wait()


if __name__ == "__main__":
    asyncio.run(_serve(os.environ["POD_UID"]))
