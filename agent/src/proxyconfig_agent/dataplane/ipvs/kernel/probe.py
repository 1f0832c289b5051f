"""Asks the kernel for what the mode needs: IPVS with its scheduler in each family, marks that it keeps, and the rules around it."""

from __future__ import annotations

import errno
import os

from msgspec.structs import replace

from proxyconfig_agent.dataplane.ipvs.kernel.kernel import Kernel
from proxyconfig_agent.dataplane.ipvs.model.private import KEEPERS, PROBE_PORT
from proxyconfig_agent.dataplane.ipvs.model.servers import FALLBACK, scheduling_of
from proxyconfig_agent.dataplane.modes.probe import probed
from proxyconfig_agent.dataplane.port import ProbeResult, TemporaryError
from proxyconfig_agent.ingest.model import Family, Protocol
from proxyconfig_agent.netlink.ipvs.messages import VirtualServer

_FAMILY_MISSING = frozenset((errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.EINVAL))


def probe(kernel: Kernel) -> ProbeResult:
    """The families that can be served. Raises DataplaneError if none can."""
    features = kernel.rules.features()
    lacks = {family: lack for family in Family if (lack := _lack(kernel, family))}
    found = probed("ipvs", lacks, lambda _: ("ip_vs", f"scheduler {FALLBACK}"))
    return replace(found, features={**features, **found.features})


def _lack(kernel: Kernel, family: Family) -> str:
    server = VirtualServer(Protocol.TCP, KEEPERS[family], PROBE_PORT)
    number = kernel.servers.refusal_of(server, scheduling_of(FALLBACK, 0))
    if number == errno.ENOENT:
        return f"the kernel lacks the scheduler {FALLBACK} (CONFIG_IP_VS_RR, modprobe ip_vs_rr)"
    if number in _FAMILY_MISSING:
        return f"the kernel lacks ip_vs for IPv{family.value} (CONFIG_IP_VS_IPV{family.value}): {os.strerror(number)}"
    if number:
        raise TemporaryError(f"ipvs: virtual servers of IPv{family.value} cannot be probed: {os.strerror(number)}")
    if not kernel.servers.keeps(server, scheduling_of(FALLBACK, 0)):
        return "the kernel does not keep the mark of this mode's virtual servers (flags 0x5058xxxx)"
    return kernel.rules.lack(family)
