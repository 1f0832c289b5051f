"""The ipvs mode, as the rest of the agent sees it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import structlog

from proxyconfig_agent.dataplane.modes import ModeSpec
from proxyconfig_agent.dataplane.port import DataplaneError, Lifecycle, ModeInstance
from proxyconfig_agent.ingest.services import SCHEDULERS
from proxyconfig_api.spec import Ipvs as IpvsSpec
from proxyconfig_api.spec import ProxyConfigSpec

NEEDED = {
    "net.ipv4.vs.conntrack": "1",
    "net.ipv4.vs.expire_nodest_conn": "1",
    "net.ipv4.vs.expire_quiescent_template": "1",
    "net.ipv4.ip_forward": "1",
}
"""kube-proxy's: without conntrack nothing is masqueraded; the other two free clients of endpoints that are gone."""
STRICT_ARP = {"net.ipv4.conf.all.arp_ignore": "1", "net.ipv4.conf.all.arp_announce": "2"}
TIMEOUTS = ("ipvs.tcpTimeout", "ipvs.tcpFinTimeout", "ipvs.udpTimeout")
"""Of idle connections, in seconds, by their names in the spec: set and put back as sysctls are, which the kernel does not have for them."""

_log = structlog.get_logger("ipvs")


def _make() -> ModeInstance:
    from proxyconfig_agent.dataplane.ipvs.ipvs import Ipvs  # noqa: PLC0415 - costs memory in other modes

    return Ipvs()


def _left_behind() -> Iterator[Lifecycle]:
    """A kernel without IPVS has nothing of it, which proves the removal."""
    from proxyconfig_agent.dataplane.ipvs.kernel.connect import is_loaded  # noqa: PLC0415

    if not is_loaded():
        return
    try:
        dataplane = _make()
    except DataplaneError as error:
        _log.info("nothing of ipvs mode can be in this kernel", reason=str(error))
    else:
        yield dataplane


def sysctls(spec: ProxyConfigSpec) -> Mapping[str, str]:
    section = spec.ipvs or IpvsSpec()
    timeouts = dict(zip(TIMEOUTS, (section.tcp_timeout, section.tcp_fin_timeout, section.udp_timeout), strict=True))
    asked = {name: str(int(seconds)) for name, seconds in timeouts.items() if seconds >= 1}
    return NEEDED | (STRICT_ARP if section.strict_arp else {}) | asked


def _modules_of(spec: ProxyConfigSpec) -> tuple[str, ...]:
    return (f"ip_vs_{(spec.ipvs or IpvsSpec()).scheduler}",)


SPEC = ModeSpec(
    make=_make,
    left_behind=_left_behind,
    # The kernel loads them itself when they are asked for, unless autoloading is off.
    modules=("ip_vs", "nf_tables", "nft_chain_nat", "nft_ct", "nft_masq", "nft_nat"),
    # Without those of one family the other is served; Services may name any scheduler.
    optional_modules=(
        "nft_fib_ipv4",
        "nft_fib_ipv6",
        "nft_reject_ipv4",
        "nft_reject_ipv6",
        *(f"ip_vs_{scheduler}" for scheduler in SCHEDULERS),
    ),
    modules_of=_modules_of,
    sysctls=sysctls,
    lasting_sysctls=(*NEEDED, *STRICT_ARP, *TIMEOUTS),
)
