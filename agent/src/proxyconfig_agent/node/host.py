"""Applies the parts of a ProxyConfig that are no rules: conntrack and other sysctls, and the check of kernel modules."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from proxyconfig_agent.dataplane.modes.modes import lasting_sysctls, spec_of
from proxyconfig_agent.node.capabilities import cores
from proxyconfig_agent.node.modules import module_record, module_states, modules
from proxyconfig_agent.node.modules.module_states import Modules
from proxyconfig_agent.node.sysctls import conntrack_sysctls
from proxyconfig_agent.node.sysctls.parameters import NodeParameters
from proxyconfig_agent.node.sysctls.procsys import Ledger, Parameters, reconcile
from proxyconfig_agent.node.sysctls.sysctls import Requested
from proxyconfig_agent.state.findings import Finding
from proxyconfig_api.objects.nodeproxy import Module
from proxyconfig_api.spec.sections import ProxyConfigSpec


def sysctls_of(spec: ProxyConfigSpec, cores: int) -> tuple[Requested, ...]:
    """All sysctls of a spec, each name once: what `kernel.sysctls` says of a name beats what follows from another field."""
    follows = {each.name: each for each in conntrack_sysctls.sysctls_of(spec.conntrack, cores)}
    follows |= {name: Requested(name, value) for name, value in spec_of(spec.mode).sysctls(spec).items()}
    written = {name: Requested(name, value) for name, value in sorted(spec.kernel.sysctls.items())}
    return tuple((follows | written).values())


class HostState(Struct, frozen=True):
    """What the node was found to be, and what of it is not as asked for."""

    findings: tuple[Finding, ...] = ()
    modules: tuple[Module, ...] = ()


def module_report(spec: ProxyConfigSpec, kernel: Modules) -> HostState:
    """What this kernel has of the modules that the spec and its mode need. Pure."""
    mode = spec_of(spec.mode)
    of_mode = (*mode.modules, *mode.modules_of(spec))
    found = module_states.states((*modules.ESSENTIAL, *modules.HELPFUL, *spec.kernel.modules, *of_mode, *mode.optional_modules), kernel)
    return HostState(module_states.findings(modules.ESSENTIAL, spec.kernel.modules, of_mode, kernel), found)


def _read_modules() -> Modules:
    return modules.read(record=module_record.load())


class Host:
    """This node's kernel, as far as the agent may change it. Never raises: what cannot be done is a finding."""

    def __init__(
        self, parameters: Parameters | None = None, ledger: Ledger | None = None, read_modules: Callable[[], Modules] = _read_modules
    ) -> None:
        self._parameters = parameters or NodeParameters()
        self._ledger = ledger or Ledger()
        self._read_modules = read_modules

    def configure(self, spec: ProxyConfigSpec, *, alone: bool = True) -> HostState:
        """Apply `spec` and return what the node is then. Idempotent and cheap: for a new spec, and for every full resync.

        `alone`: the mode of the spec runs, and no other has connections; until then the sysctls that they need are kept."""
        report = module_report(spec, self._read_modules())
        kept = () if alone else lasting_sysctls(besides=spec.mode)
        changed = reconcile(sysctls_of(spec, cores()), self._parameters, self._ledger, kept)
        return HostState((*report.findings, *changed), report.modules)

    def restore(self) -> tuple[Finding, ...]:
        """Restore every value that the agent changed and nothing else has changed since."""
        return reconcile((), self._parameters, self._ledger)
