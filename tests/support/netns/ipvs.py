"""IPVS on a node of the tests: whether this kernel has it, and a node without anything of it."""

from __future__ import annotations

import contextlib
from functools import cache

from tests.support.netns.namespace import CommandError, Namespace

from proxyconfig_agent.netlink.ipvs import messages
from proxyconfig_agent.netlink.ipvs.connection import Connection

DEVICE = "kube-ipvs0"


@cache
def is_there() -> bool:
    """Whether this kernel has IPVS, as a module or built in."""
    try:
        Connection().close()
    except OSError:
        return False
    return True


def empty(node: Namespace) -> None:
    """Take away all virtual servers, kube-proxy's device and all ip sets."""
    node.call(_delete_services)
    with contextlib.suppress(CommandError):
        node.ip([f"link del {DEVICE}"])
    node.run("ipset", "destroy")


def _delete_services() -> None:
    with contextlib.closing(Connection()) as connection:
        assert connection.commit([messages.delete_service(server) for server in connection.services()]) == []
