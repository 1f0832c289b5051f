"""What a pod that observes needs to read the rules of a kube-proxy in iptables-legacy."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from tests.support.netns.namespace import Namespace, namespaces

from proxyconfig_api.spec.modes import pod_needs
from proxyconfig_api.spec.sections import Mode, Takeover

pytestmark = pytest.mark.kernel

READ = "from proxyconfig_agent.checks.shadow.reader import read; print(*sorted(family.name for family in read()))"


@pytest.fixture
def node() -> Iterator[Namespace]:
    with namespaces("node") as made:
        yield made["node"]


@pytest.mark.parametrize("mode", Mode)
def test_rules_in_iptables_legacy_are_read_with_the_capabilities_of_a_pod_that_observes(node: Namespace, mode: Mode) -> None:
    _kube_proxy_in_legacy(node)
    assert _read(node, pod_needs(mode, Takeover.OBSERVE).capabilities) == "IPV4 IPV6"


def test_rules_in_iptables_legacy_are_not_read_without_a_raw_socket(node: Namespace) -> None:
    """Therefore pods of nftables mode get one while they observe, and not else."""
    _kube_proxy_in_legacy(node)
    assert _read(node, pod_needs(Mode.NFTABLES).capabilities) == ""


def _kube_proxy_in_legacy(node: Namespace) -> None:
    for program in ("iptables-legacy", "ip6tables-legacy"):
        for arguments in ("-t mangle -N KUBE-IPTABLES-HINT", "-t nat -N KUBE-SERVICES", "-t nat -A KUBE-SERVICES -j RETURN"):
            node.run(program, *arguments.split())


def _read(node: Namespace, capabilities: tuple[str, ...]) -> str:
    """The families of which rules are read by a process that has these alone."""
    kept = ",".join(f"+{each.lower()}" for each in capabilities)
    return node.run("setpriv", f"--bounding-set=-all,{kept}", "--inh-caps=-all", sys.executable, "-c", READ).strip()
