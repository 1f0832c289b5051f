"""What the init container does, which may load modules and nothing else: `python -m proxyconfig_agent --init --module NAME…`."""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from proxyconfig_agent.dataplane.modes import built
from proxyconfig_agent.node import modules

_log = structlog.get_logger("setup")


def run(wanted: Iterable[str]) -> int:
    """Load what the agent needs and `wanted` (spec.kernel.modules), where it is not there yet; return the exit status.

    It is 0 even if a module is missing: the agent reports that as a condition of its NodeProxy, which a pod that
    does not start could not."""
    kernel = modules.read()
    of_modes = (name for spec in built() for name in spec.modules)
    lacking = modules.missing((*modules.ESSENTIAL, *modules.HELPFUL, *of_modes, *wanted), kernel)
    if lacking and not kernel.loadable:
        _log.info("modules not loaded", reason="this kernel cannot load modules", kernel=kernel.release, modules=lacking)
        return 0
    for failure in modules.load(lacking):
        _log.warning("module not loaded", kernel=kernel.release, error=failure)
    _log.info("init done", kernel=kernel.release, loaded=len(lacking))
    return 0
