"""What types cannot say about a spec: syntax of names and addresses, and fields that contradict each other.

The API server refuses the same by the CEL rules of the CRD, in the same words; this is for files (`--config`) and for objects
that were stored before a rule was there. A test holds both against each other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import msgspec

from proxyconfig_api.encoding.errors import Problem
from proxyconfig_api.spec.agent import Agent
from proxyconfig_api.spec.rollout import ProbeProtocol, ServiceProbe
from proxyconfig_api.spec.sections import DetectLocalMode, LocalTraffic, Mode, ProxyConfigSpec
from proxyconfig_api.values.bindaddress import is_bind_address
from proxyconfig_api.values.duration import Duration
from proxyconfig_api.values.selector import LabelSelector, Operator

NAME_LIMIT = 52
"""Object names and labels (63 characters) are made of the name and a hash."""

MODULE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,55}")
SYSCTL = re.compile(r"net(\.[A-Za-z0-9_][A-Za-z0-9_/-]*)+")
SCHEDULER = re.compile(r"[a-z0-9_]{1,15}")
IMAGE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._/:@-]*")
INTERFACE = re.compile(r"[^\s/:]{1,15}")

CONNTRACK_SYSCTLS = {
    "net.netfilter.nf_conntrack_max": "maxPerCore and min",
    "net.netfilter.nf_conntrack_tcp_timeout_established": "tcpEstablishedTimeout",
    "net.netfilter.nf_conntrack_tcp_timeout_close_wait": "tcpCloseWaitTimeout",
    "net.netfilter.nf_conntrack_tcp_be_liberal": "tcpBeLiberal",
    "net.netfilter.nf_conntrack_udp_timeout": "udpTimeout",
    "net.netfilter.nf_conntrack_udp_timeout_stream": "udpStreamTimeout",
}
"""Sysctls with a field below spec.conntrack."""


def contradictions(name: str, spec: ProxyConfigSpec) -> tuple[Problem, ...]:
    """Everything that is wrong with `spec` of the ProxyConfig `name`; empty if nothing is."""
    return tuple(problem for rule in _RULES for problem in rule(spec)) + tuple(_name(name))


def _name(name: str) -> Iterator[Problem]:
    if len(name) > NAME_LIMIT:
        yield Problem("metadata.name", f"must be at most {NAME_LIMIT} characters: names of other objects are made from it")


def _mode_sections(spec: ProxyConfigSpec) -> Iterator[Problem]:
    for mode in (Mode.NFTABLES, Mode.IPTABLES, Mode.IPVS, Mode.USERSPACE):
        if getattr(spec, mode.value) is not None and spec.mode not in (mode, Mode.AUTO):
            yield Problem(f"spec.{mode}", f"is for mode {mode} or auto: remove it, or set mode to {mode} instead of {spec.mode}")


def _selector(spec: ProxyConfigSpec) -> Iterator[Problem]:
    yield from _expressions("spec.nodeSelector", spec.node_selector)
    if spec.rollout.canary.selector is not None:
        yield from _expressions("spec.rollout.canary.selector", spec.rollout.canary.selector)


def _expressions(path: str, selector: LabelSelector) -> Iterator[Problem]:
    for index, requirement in enumerate(selector.match_expressions):
        field = f"{path}.matchExpressions[{index}].values"
        if requirement.operator in (Operator.IN, Operator.NOT_IN) and not requirement.values:
            yield Problem(field, "must have a value with operator In or NotIn: add one, or use Exists or DoesNotExist")
        if requirement.operator in (Operator.EXISTS, Operator.DOES_NOT_EXIST) and requirement.values:
            yield Problem(field, "must be empty with operator Exists or DoesNotExist: remove the values, or use In or NotIn")


def _conntrack(spec: ProxyConfigSpec) -> Iterator[Problem]:
    yield from _whole_seconds("spec.conntrack", spec.conntrack)


def _whole_seconds(path: str, section: msgspec.Struct) -> Iterator[Problem]:
    for field in msgspec.structs.fields(section):
        value = getattr(section, field.name)
        if isinstance(value, Duration) and value % 1:
            yield Problem(f"{path}.{field.encode_name}", f"must be whole seconds, the kernel's unit, not {value}")


def _modules(spec: ProxyConfigSpec) -> Iterator[Problem]:
    modules = spec.kernel.modules
    for index, module in enumerate(modules):
        if module in modules[:index]:
            yield Problem(f"spec.kernel.modules[{index}]", f"{module} is there twice: remove one")
        if not MODULE.fullmatch(module):
            fix = f"must be the name of a module as lsmod prints it, such as br_netfilter, not {module}"
            yield Problem(f"spec.kernel.modules[{index}]", fix)


def _sysctls(spec: ProxyConfigSpec) -> Iterator[Problem]:
    for key in spec.kernel.sysctls:
        if not SYSCTL.fullmatch(key):
            yield Problem("spec.kernel.sysctls", "must be names below net with dots, such as net.core.somaxconn", key)
        elif key in CONNTRACK_SYSCTLS:
            yield Problem("spec.kernel.sysctls", f"remove {key}: it is set by spec.conntrack ({CONNTRACK_SYSCTLS[key]})")


def _local_traffic(spec: ProxyConfigSpec) -> Iterator[Problem]:
    local = spec.local_traffic
    if local == LocalTraffic():
        return
    parameters = {
        DetectLocalMode.CLUSTER_CIDR: ("clusterCIDRs", bool(local.cluster_cidrs)),
        DetectLocalMode.BRIDGE_INTERFACE: ("bridgeInterface", bool(local.bridge_interface)),
        DetectLocalMode.INTERFACE_NAME_PREFIX: ("interfaceNamePrefix", bool(local.interface_name_prefix)),
    }
    for mode, (field, given) in parameters.items():
        if mode is local.detect_local_mode and not given:
            yield Problem(f"spec.localTraffic.{field}", f"is needed with detectLocalMode {mode}: add it, or choose another mode")
        if mode is not local.detect_local_mode and given:
            fix = f"is for detectLocalMode {mode}: remove it, or set that mode instead of {local.detect_local_mode}"
            yield Problem(f"spec.localTraffic.{field}", fix)
    for field, name in (("bridgeInterface", local.bridge_interface), ("interfaceNamePrefix", local.interface_name_prefix)):
        if name and not INTERFACE.fullmatch(name):
            yield Problem(f"spec.localTraffic.{field}", f"must be 1 to 15 characters without blanks, slashes and colons, not {name}")


def _sync(spec: ProxyConfigSpec) -> Iterator[Problem]:
    shortest, longest = spec.sync.min_sync_period, spec.sync.full_sync_period
    if not longest:
        yield Problem("spec.sync.fullSyncPeriod", "must be greater than 0s")
    elif shortest > longest:
        yield Problem("spec.sync.minSyncPeriod", f"must not exceed fullSyncPeriod: {shortest} is more than {longest}")


def _ipvs(spec: ProxyConfigSpec) -> Iterator[Problem]:
    if not spec.ipvs:
        return
    if not SCHEDULER.fullmatch(spec.ipvs.scheduler):
        yield Problem("spec.ipvs.scheduler", f"must be the name of a scheduler such as rr or lc, not {spec.ipvs.scheduler}")
    yield from _whole_seconds("spec.ipvs", spec.ipvs)


def _rollout(spec: ProxyConfigSpec) -> Iterator[Problem]:
    rollout = spec.rollout
    if rollout.canary.nodes is not None and rollout.canary.selector is not None:
        yield Problem("spec.rollout.canary.nodes", "is for a canary without a selector: remove one of both")
    if not rollout.max_unavailable.value:
        yield Problem("spec.rollout.maxUnavailable", "must be at least 1 or 1%: to stop a rollout, set paused to true")
    if rollout.progress_deadline <= rollout.hold_period:
        words = f"must exceed holdPeriod: {rollout.progress_deadline} is not more than {rollout.hold_period}"
        yield Problem("spec.rollout.progressDeadline", words)
    for index, probe in enumerate(rollout.probes.services):
        yield from _probe(f"spec.rollout.probes.services[{index}]", probe)


def _probe(path: str, probe: ServiceProbe) -> Iterator[Problem]:
    if probe.path != "/" and probe.protocol is not ProbeProtocol.HTTP:
        yield Problem(f"{path}.path", f"is for protocol HTTP: remove it, or set protocol to HTTP instead of {probe.protocol}")
    if not probe.path.startswith("/"):
        yield Problem(f"{path}.path", f"must begin with a slash, such as /healthz, not {probe.path}")


def _agent(spec: ProxyConfigSpec) -> Iterator[Problem]:
    agent = spec.agent
    if agent.image and not IMAGE.fullmatch(agent.image):
        yield Problem("spec.agent.image", f"must be an image such as registry.example.com/proxyconfig-agent:v1, not {agent.image}")
    for index, toleration in enumerate(agent.tolerations):
        if toleration.operator == "Exists" and toleration.value:
            yield Problem(f"spec.agent.tolerations[{index}].value", "must be empty with operator Exists: remove it, or use Equal")
    yield from _bind_addresses(agent)


def _bind_addresses(agent: Agent) -> Iterator[Problem]:
    addresses = {"healthzBindAddress": agent.healthz_bind_address, "metricsBindAddress": agent.metrics_bind_address}
    for field, address in addresses.items():
        if address and not is_bind_address(address):
            yield Problem(f"spec.agent.{field}", f'must be IP:PORT, [IPv6]:PORT or :PORT, or "" to turn it off; not {address}')
    if agent.healthz_bind_address and _port(agent.healthz_bind_address) == _port(agent.metrics_bind_address):
        fix = f"must have another port than healthzBindAddress: both have {_port(agent.healthz_bind_address)}"
        yield Problem("spec.agent.metricsBindAddress", fix)


def _port(address: str) -> str:
    return address.rpartition(":")[2]


_RULES: tuple[Callable[[ProxyConfigSpec], Iterator[Problem]], ...] = (
    _mode_sections,
    _selector,
    _conntrack,
    _modules,
    _sysctls,
    _local_traffic,
    _sync,
    _ipvs,
    _agent,
    _rollout,
)
