"""`python -m proxyconfig_agent.dataplane.userspace.proxy DESCRIPTOR PURPOSE`: the control socket is inherited; see `control.names`."""

from __future__ import annotations

import gc
import os
import socket
import sys

from proxyconfig_agent.dataplane.userspace.proxy import limits
from proxyconfig_agent.dataplane.userspace.proxy.process import ProxyProcess

NICE = 5
"""The agent's syncs go before connections, where both need the processor."""
GARBAGE = 50_000


def main(descriptor: int, purpose: str) -> None:
    os.nice(NICE)
    gc.set_threshold(GARBAGE)
    control = socket.socket(fileno=descriptor)
    control.setblocking(False)
    ProxyProcess(control, limits.shared_out(limits.raised()), purpose).run()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
