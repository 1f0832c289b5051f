"""What a kernel has of each module that a ProxyConfig needs, and what to do about the others. Pure; `modules` reads it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct, field

from proxyconfig_agent.node.modules.kernel_options import option_of
from proxyconfig_agent.state.findings import Finding, Topic
from proxyconfig_api.objects.nodeproxy import Module, ModuleState

PRESENT = (ModuleState.LOADED, ModuleState.BUILT_IN)
_REFUSALS = ("not permitted", "permission denied", "key was rejected", "required key not available", "lockdown")
"""What modprobe says where the module is there and the kernel, or the rights of the process, do not let it in."""


class Modules(Struct, frozen=True):
    """What the running kernel has. Names are canonical, with `_`."""

    release: str
    loaded: frozenset[str] = frozenset()
    built_in: frozenset[str] | None = frozenset()
    """None: nothing on the node lists what is built in; what has proven itself is in `proven`."""
    proven: frozenset[str] = frozenset()
    """Those that a file of theirs proves, loaded or built in."""
    options: Mapping[str, str] | None = None
    """The configuration of the kernel by full option name, without those that are not set; None: it cannot be read."""
    available: frozenset[str] = frozenset()
    """Those that /lib/modules has for this kernel."""
    loadable: bool = True
    """Whether this kernel can load modules."""
    disabled: bool = False
    """kernel.modules_disabled is 1: no module can be loaded until the next boot."""
    loaded_by_us: frozenset[str] = frozenset()
    failures: Mapping[str, str] = field(default_factory=dict)
    """modprobe's words about those that the init container could not load."""


def canonical(name: str) -> str:
    """The kernel writes `-` and `_` alike; lists of modules hold `_`, files often `-`."""
    return name.replace("-", "_")


def states(names: Iterable[str], modules: Modules) -> tuple[Module, ...]:
    """Each module once, in the order given, with the exact command or the option of the kernel where it is not there."""
    return tuple(_state(name, modules) for name in dict.fromkeys(map(canonical, names)))


def missing(names: Iterable[str], modules: Modules) -> tuple[str, ...]:
    """Those that are neither loaded nor built in, as far as the node's files show."""
    return tuple(each.name for each in states(names, modules) if each.state not in PRESENT)


def summary(found: Iterable[Module]) -> str:
    """How many are in which state, such as `11 loaded, 2 built in`."""
    of_state = [each.state for each in found]
    return ", ".join(f"{of_state.count(state)} {_WORDS[state]}" for state in ModuleState if state in of_state)


_WORDS = {
    ModuleState.LOADED: "loaded",
    ModuleState.BUILT_IN: "built in",
    ModuleState.NOT_LOADED: "not loaded",
    ModuleState.MISSING: "missing",
    ModuleState.NOT_PERMITTED: "not permitted",
    ModuleState.UNKNOWN: "unknown",
}


def findings(essential: Iterable[str], requested: Iterable[str], of_mode: Iterable[str], modules: Modules) -> tuple[Finding, ...]:
    """A sentence for each module that is not there.

    The agent itself needs `essential`, the spec asks for `requested`. Of those that the mode needs only what this kernel can never have
    is wrong: it loads the others with the rules that use them."""
    return (
        *(_finding(each) for each in states(essential, modules) if each.state not in PRESENT),
        *(_finding(each, "; or remove it from spec.kernel.modules") for each in states(requested, modules) if each.state not in PRESENT),
        *(_finding(each) for each in states(of_mode, modules) if each.state in _NEVER),
    )


_NEVER = (ModuleState.MISSING, ModuleState.NOT_PERMITTED)


def _finding(module: Module, fix: str = "") -> Finding:
    reason = "ModuleNotPermitted" if module.state is ModuleState.NOT_PERMITTED else "ModuleMissing"
    return Finding(Topic.MODULES, reason, f"module {module.name}: {module.message}{fix}")


def _state(name: str, modules: Modules) -> Module:
    if name in modules.loaded:
        return Module(name=name, state=ModuleState.LOADED, message="loaded by the init container" if name in modules.loaded_by_us else "")
    if name in modules.proven or name in (modules.built_in or ()) or (modules.options or {}).get(option_of(name)) == "y":
        return Module(name=name, state=ModuleState.BUILT_IN)
    state, message = _absent(name, modules)
    return Module(name=name, state=state, message=message)


def _absent(name: str, modules: Modules) -> tuple[ModuleState, str]:
    """The first of these that holds."""
    option, words, kernel = option_of(name), modules.failures.get(name, ""), f"kernel {modules.release}"
    named, command = f" ({option})" if option else "", f"run `modprobe {name}` on the node"
    off = modules.options is not None and bool(option) and option not in modules.options
    refused = any(refusal in words.lower() for refusal in _REFUSALS)
    unlisted = modules.built_in is None and modules.options is None
    cases = (
        (off, ModuleState.MISSING, f"{kernel} is built without {option}; use a kernel that has it"),
        (modules.disabled, ModuleState.NOT_PERMITTED, f"kernel.modules_disabled is 1; name {name} in /etc/modules-load.d and boot again"),
        (refused, ModuleState.NOT_PERMITTED, f"the init container may not load it ({words}); {command}"),
        (name in modules.available, ModuleState.NOT_LOADED, f"{words or 'it is not loaded'}; {command}"),
        (unlisted, ModuleState.UNKNOWN, f"nothing on the node lists what {kernel} has built in{named}"),
        (not modules.loadable, ModuleState.MISSING, f"{kernel} does not have it built in and loads no modules{named}; use one that has it"),
    )
    other = f"{words or f'/lib/modules has none for {kernel}'}{named}; install it and {command}"
    return next(((state, message) for holds, state, message in cases if holds), (ModuleState.MISSING, other))
