"""`python -m proxyconfig_agent.dataplane.userspace.proxy DESCRIPTOR`: the agent's end of the control socket is inherited."""

from __future__ import annotations

import gc
import os
import socket
import sys

from proxyconfig_agent.dataplane.userspace.proxy import limits
from proxyconfig_agent.dataplane.userspace.proxy.process import ProxyProcess

NICE = 5
"""The agent's syncs go before connections, where both want the processor."""
GARBAGE = 50_000


def main(descriptor: int) -> None:
    os.nice(NICE)
    gc.set_threshold(GARBAGE)
    control = socket.socket(fileno=descriptor)
    control.setblocking(False)
    ProxyProcess(control, limits.shared_out(limits.raised())).run()


if __name__ == "__main__":
    main(int(sys.argv[1]))
