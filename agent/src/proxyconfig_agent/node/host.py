"""Applies the parts of a ProxyConfig that are no rules: conntrack and other sysctls, and the check of kernel modules."""

from __future__ import annotations

from collections.abc import Callable

from proxyconfig_agent.dataplane.modes import spec_of
from proxyconfig_agent.node import conntrack_sysctls, modules
from proxyconfig_agent.node.capabilities import cores
from proxyconfig_agent.node.modules import Modules
from proxyconfig_agent.node.procsys import Ledger, Parameters, ProcSys, reconcile
from proxyconfig_agent.node.sysctls import Requested
from proxyconfig_agent.state.findings import Finding
from proxyconfig_api.spec import ProxyConfigSpec


def sysctls_of(spec: ProxyConfigSpec, cores: int) -> tuple[Requested, ...]:
    """All sysctls of a spec, each name once: what `kernel.sysctls` says of a name beats what follows from another field."""
    follows = {each.name: each for each in conntrack_sysctls.sysctls_of(spec.conntrack, cores)}
    follows |= {name: Requested(name, value) for name, value in spec_of(spec.mode).sysctls(spec).items()}
    written = {name: Requested(name, value) for name, value in sorted(spec.kernel.sysctls.items())}
    return tuple((follows | written).values())


class Host:
    """This node's kernel, as far as the agent may change it. Never raises: what cannot be done is a finding."""

    def __init__(
        self, parameters: Parameters | None = None, ledger: Ledger | None = None, read_modules: Callable[[], Modules] = modules.read
    ) -> None:
        self._parameters = parameters or ProcSys()
        self._ledger = ledger or Ledger()
        self._read_modules = read_modules

    def configure(self, spec: ProxyConfigSpec) -> tuple[Finding, ...]:
        """Apply `spec` and return the findings. Idempotent and cheap: for a new spec, and for every full resync."""
        lacking = modules.findings((*modules.ESSENTIAL, *spec.kernel.modules), self._read_modules())
        return (*lacking, *reconcile(sysctls_of(spec, cores()), self._parameters, self._ledger))

    def restore(self) -> tuple[Finding, ...]:
        """Restore every value that the agent changed and nothing else has changed since."""
        return reconcile((), self._parameters, self._ledger)
