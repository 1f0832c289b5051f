"""`--init --module NAME…`: what the init container does. It may load modules, and looks at what the node's network lacks."""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from proxyconfig_agent.dataplane.modes import built
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.node import host_findings, inventory_reader, modules
from proxyconfig_agent.node.procsys import present

_log = structlog.get_logger("setup")


def run(requested: Iterable[str]) -> int:
    """Load what the agent needs and `requested` (spec.kernel.modules), where it is not there yet; return the exit status.

    It is 0 even if a module is missing: the agent reports that as a condition of its NodeProxy, which a pod that
    does not start could not."""
    _load(requested)
    _look()
    return 0


def _load(requested: Iterable[str]) -> None:
    kernel = modules.read()
    of_modes = (name for spec in built() for name in spec.modules)
    lacking = modules.missing((*modules.ESSENTIAL, *modules.HELPFUL, *of_modes, *requested), kernel)
    if lacking and not kernel.loadable:
        _log.info("modules not loaded", reason="this kernel cannot load modules", kernel=kernel.release, modules=lacking)
        return
    for failure in modules.load(lacking):
        _log.warning("module not loaded", kernel=kernel.release, error=failure)
    _log.info("init done", kernel=kernel.release, loaded=len(lacking))


def _look() -> None:
    """Say what of the network is there, and what is lacking for any Service to work."""
    try:
        found = inventory_reader.read_network()
    except OSError as error:
        _log.warning("network not looked at", error=str(error))
        return
    families = host_findings.families(found)
    _log.info("IP families", **{f"ipv{family.value}": "on" if family in families else "no address" for family in Family})
    for obstacle in host_findings.obstacles(found, present(host_findings.FORWARDING.values())):
        _log.warning("Services cannot work on this node", reason=obstacle)
