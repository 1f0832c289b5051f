"""`--init --mode MODE --module NAME…`: what the init container does. It may load modules, and looks at what the node's network lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

from proxyconfig_agent.dataplane.modes.modes import spec_of
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.node.inventory import host_findings, inventory_reader
from proxyconfig_agent.node.modules import module_record, module_states, modules
from proxyconfig_agent.node.modules.module_states import Modules
from proxyconfig_agent.node.sysctls.procsys import STATE, present
from proxyconfig_api.spec.modes import candidates
from proxyconfig_api.spec.sections import Mode

_log = structlog.get_logger("setup")


def run(mode: Mode, requested: Iterable[str]) -> int:
    """Load what the agent needs in this mode and `requested` (spec.kernel.modules), where it is not there yet; return the exit status.

    It is 0 even if a module is missing: the agent reports that as a condition of its NodeProxy, which a pod that
    does not start could not."""
    load(mode, requested)
    _look()
    return 0


def load(
    mode: Mode,
    requested: Iterable[str],
    read: Callable[[], Modules] = modules.read,
    directory: Path = STATE,
    modprobe: str = "modprobe",
) -> None:
    """Load modules, and record them in `directory` for the agent. For `auto`, those of the modes in order, up to the first that has all."""
    kernel = read()
    tried = _tried((*modules.ESSENTIAL, *modules.HELPFUL, *requested), kernel, modprobe)
    for candidate in candidates(mode):
        spec = spec_of(candidate)
        tried |= _tried((*spec.modules, *spec.optional_modules), kernel, modprobe)
        if not module_states.missing(spec.modules, read()):
            break
    module_record.save(module_record.load(directory).after(tried), directory)
    _log.info("init done", kernel=kernel.release, loaded=[name for name, words in tried.items() if not words])


def _tried(names: Iterable[str], kernel: Modules, modprobe: str) -> dict[str, str]:
    """Load what is missing of these; return it with modprobe's words where that failed."""
    lacking = module_states.missing(names, kernel)
    if lacking and not kernel.loadable:
        _log.info("modules not loaded", reason="this kernel cannot load modules", kernel=kernel.release, modules=lacking)
        return {}
    return modules.load(lacking, modprobe)


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
