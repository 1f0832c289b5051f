"""What a ProxyConfig wants of the node besides rules, done: conntrack, sysctls and the check of modules. The agent calls this."""

from __future__ import annotations

from collections.abc import Callable

from proxyconfig_agent.dataplane.modes import spec_of
from proxyconfig_agent.node import conntrack_sysctls, modules
from proxyconfig_agent.node.capabilities import cores
from proxyconfig_agent.node.modules import Modules
from proxyconfig_agent.node.procsys import Ledger, Parameters, ProcSys, reconcile
from proxyconfig_agent.node.sysctls import Wanted
from proxyconfig_agent.state.findings import Finding
from proxyconfig_api.spec import ProxyConfigSpec


def wanted(spec: ProxyConfigSpec, cores: int) -> tuple[Wanted, ...]:
    """All sysctls of a spec, each name once: what `kernel.sysctls` says of a name beats what follows from another field."""
    follows = {each.name: each for each in conntrack_sysctls.wanted(spec.conntrack, cores)}
    follows |= {name: Wanted(name, value) for name, value in spec_of(spec.mode).sysctls(spec).items()}
    written = {name: Wanted(name, value) for name, value in sorted(spec.kernel.sysctls.items())}
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
        """Bring the node to `spec` and return what is to be told. Idempotent and cheap: for a new spec, and for every full resync."""
        lacking = modules.findings((*modules.ESSENTIAL, *spec.kernel.modules), self._read_modules())
        return (*lacking, *reconcile(wanted(spec, cores()), self._parameters, self._ledger))

    def restore(self) -> tuple[Finding, ...]:
        """Put back every value that the agent changed and nobody else did since."""
        return reconcile((), self._parameters, self._ledger)
