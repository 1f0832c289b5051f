"""Checks of the nodes that a ProxyConfig selects: kernel, modules, agents, other proxies."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from proxyconfig_api.objects.nodeproxy import ModuleState, NodeProxy
from proxyconfig_api.spec.sections import Mode, Takeover
from proxyconfig_api.status.conditions import ConditionStatus, condition
from proxyconfig_cli.preflight.facts import Facts, Node
from proxyconfig_cli.preflight.findings import Finding, Severity, found

OLDEST_KERNEL: Mapping[Mode, tuple[int, int]] = {Mode.NFTABLES: (5, 15), Mode.IPVS: (5, 15), Mode.USERSPACE: (5, 6)}
"""As in docs/modes.md; iptables mode works with every kernel that Kubernetes works with, and auto takes what works."""


def operating_system(facts: Facts) -> list[Finding]:
    nodes = [node.metadata.name for node in facts.nodes if node.status.node_info.operating_system != "linux"]
    return found(Severity.NOTE, "OperatingSystem", "no Linux: a ProxyConfig leaves these nodes as they are, with their kube-proxy", nodes)


def kernel(facts: Facts) -> list[Finding]:
    mode = facts.after.mode
    if mode not in OLDEST_KERNEL:
        return []
    oldest = OLDEST_KERNEL[mode]
    nodes = [f"{node.metadata.name} ({node.status.node_info.kernel_version})" for node in _linux(facts) if (0, 0) < _version(node) < oldest]
    needed = ".".join(map(str, oldest))
    message = f"the kernel is older than Linux {needed}, which mode {mode} needs: choose mode auto, or iptables for these nodes"
    return found(Severity.PROBLEM, "KernelTooOld", message, nodes)


def modules(facts: Facts) -> list[Finding]:
    """Of nodes that have an agent: it tells what the kernel has of the modules of its mode."""
    findings: list[Finding] = []
    for name, agent in facts.agents.items():
        bad = [module for module in agent.status.modules.items if module.state in (ModuleState.MISSING, ModuleState.NOT_PERMITTED)]
        findings += [Finding(Severity.PROBLEM, f"Module{each.state}", each.message or f"module {each.name}", (name,)) for each in bad]
    return findings


def mode(facts: Facts) -> list[Finding]:
    """Of nodes whose kernel could not do what was asked."""
    unsupported = [(name, agent.status.mode) for name, agent in facts.agents.items() if agent.status.mode.reason == "ModeUnsupported"]
    return [Finding(Severity.PROBLEM, "ModeUnsupported", status.message, (name,)) for name, status in unsupported]


def back_ends(facts: Facts) -> list[Finding]:
    """Of nodes whose agent has looked for iptables' programs: it has in a mode that uses them, and not while it observes."""
    versions = [(name, agent.status.capabilities.get("iptables", "")) for name, agent in facts.agents.items()]
    message = "the agent uses iptables %s: let other programs that make rules on these nodes use the same back end"
    return [Finding(Severity.NOTE, "IptablesBackEnd", message % version, (name,)) for name, version in versions if version]


def agents(facts: Facts) -> list[Finding]:
    """Conditions of agents that are there, and nodes about whose kernel nothing is known."""
    expected = {"KubeProxyRunning"} if facts.after.takeover is Takeover.OBSERVE else set()
    findings = [each for name, agent in facts.agents.items() for each in _conditions(name, agent) if each.check not in expected]
    unknown = [node.metadata.name for node in _linux(facts) if node.metadata.name not in facts.agents]
    message = "no agent yet, so the modules of the kernel are not known: try one node of each kind with kubectl proxyconfig import --node"
    return [*findings, *found(Severity.NOTE, "NoAgent", message, unknown)]


def other_proxies(facts: Facts) -> list[Finding]:
    """A second proxy on a node that has an agent is a fault, unless it is to be observed; elsewhere it is what is to be replaced."""
    selected = {node.metadata.name for node in _linux(facts)}
    findings: list[Finding] = []
    for owner in sorted({pod.owner for pod in facts.proxies}):
        nodes = sorted({pod.node for pod in facts.proxies if pod.owner == owner and pod.node in selected})
        both = [name for name in nodes if name in facts.agents]
        findings += _beside(owner, both, facts.after.takeover)
        message = f"{owner} runs and has to leave a node before its agent can serve there"
        findings += found(Severity.NOTE, "OtherProxy", message, [name for name in nodes if name not in both])
    return findings


def _beside(owner: str, nodes: list[str], takeover: Takeover) -> list[Finding]:
    """`nodes` have an agent."""
    if takeover is Takeover.OBSERVE:
        message = f"{owner} runs beside an agent, which observes it (spec.takeover) and programs nothing"
        return found(Severity.NOTE, "OtherProxy", message, nodes)
    message = f"{owner} runs beside an agent: keep it off these nodes by an affinity on the label proxyconfig.dev/config"
    return found(Severity.PROBLEM, "OtherProxyPresent", message, nodes)


CHECKS: tuple[Callable[[Facts], list[Finding]], ...] = (operating_system, kernel, modules, mode, back_ends, agents, other_proxies)


def _conditions(name: str, agent: NodeProxy) -> list[Finding]:
    """What is wrong by the agent's own words: Services do not work, or a part of the configuration is not in force."""
    wrong = (("Ready", ConditionStatus.FALSE), ("Degraded", ConditionStatus.TRUE), ("OtherProxyPresent", ConditionStatus.TRUE))
    found_there = [(condition(agent.status.conditions, kind), status) for kind, status in wrong]
    return [Finding(Severity.PROBLEM, each.reason, each.message, (name,)) for each, status in found_there if each and each.status is status]


def _linux(facts: Facts) -> list[Node]:
    return [node for node in facts.nodes if node.status.node_info.operating_system == "linux"]


def _version(node: Node) -> tuple[int, int]:
    """Major and minor of the kernel; (0, 0) if it cannot be told."""
    match = re.match(r"(\d+)\.(\d+)", node.status.node_info.kernel_version)
    return (int(match[1]), int(match[2])) if match else (0, 0)
