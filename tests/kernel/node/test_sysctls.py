"""Sysctls of a real kernel: set and put back in one network namespace, with no more rights than the agent's pod has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.netns.namespace import Namespace, namespaces

from proxyconfig_agent.node.host import Host
from proxyconfig_agent.node.sysctls.procsys import Ledger, ProcSys
from proxyconfig_agent.state.findings import Finding
from proxyconfig_api.spec.sections import Conntrack, Kernel, ProxyConfigSpec
from proxyconfig_api.values.duration import Duration

pytestmark = pytest.mark.kernel

PROGRAM = Path(__file__).parent / "configure.py"
ESTABLISHED = "net.netfilter.nf_conntrack_tcp_timeout_established"
MAX = "net.netfilter.nf_conntrack_max"


@pytest.fixture
def node() -> Iterator[Namespace]:
    with namespaces("node") as made:
        yield made["node"]


def read(node: Namespace, name: str) -> str:
    return node.call(ProcSys(Path("/proc/sys")).read, name)


def host(directory: Path) -> Host:
    """A new agent's: it knows of earlier ones what they left in `directory`. To be made inside of the namespace."""
    return Host(ProcSys(Path("/proc/sys")), Ledger(directory))


def configure(directory: Path, spec: ProxyConfigSpec) -> tuple[Finding, ...]:
    return host(directory).configure(spec).findings


def test_timeouts_are_set_in_this_namespace_only_and_put_back(node: Namespace, tmp_path: Path) -> None:
    before, outside = read(node, ESTABLISHED), ProcSys(Path("/proc/sys")).read(ESTABLISHED)
    spec = ProxyConfigSpec(conntrack=Conntrack(max_per_core=0, tcp_established_timeout=Duration(12345), tcp_be_liberal=True))
    assert node.call(configure, tmp_path, spec) == ()
    assert read(node, ESTABLISHED) == "12345"
    assert read(node, "net.netfilter.nf_conntrack_tcp_be_liberal") == "1"
    assert ProcSys(Path("/proc/sys")).read(ESTABLISHED) == outside
    assert node.call(lambda: host(tmp_path).restore()) == ()
    assert read(node, ESTABLISHED) == before
    assert read(node, "net.netfilter.nf_conntrack_tcp_be_liberal") == "0"
    assert list(tmp_path.iterdir()) == []


def test_a_timeout_that_is_no_longer_wanted_goes_back_without_a_restart(node: Namespace, tmp_path: Path) -> None:
    before = read(node, "net.netfilter.nf_conntrack_udp_timeout")
    for seconds, expected in ((77, "77"), (78, "78"), (0, before)):
        spec = ProxyConfigSpec(conntrack=Conntrack(max_per_core=0, udp_timeout=Duration(seconds)))
        assert node.call(configure, tmp_path, spec) == ()
        assert read(node, "net.netfilter.nf_conntrack_udp_timeout") == expected


def test_a_limit_above_the_wanted_one_is_kept_and_told(node: Namespace, tmp_path: Path) -> None:
    before = read(node, MAX)
    spec = ProxyConfigSpec(conntrack=Conntrack(max_per_core=1, min=1))
    findings = node.call(configure, tmp_path, spec)
    assert read(node, MAX) == before
    assert [finding.harmless for finding in findings if MAX in finding.message] == [True]


def test_the_limit_of_the_whole_machine_is_not_a_namespaces_to_raise_and_the_reason_is_told(node: Namespace, tmp_path: Path) -> None:
    before = read(node, MAX)
    spec = ProxyConfigSpec(conntrack=Conntrack(min=int(before) + 4096))
    findings = [finding for finding in node.call(configure, tmp_path, spec) if f"{MAX}:" in finding.message]
    assert [finding.reason for finding in findings] == ["SysctlRefused"]
    assert f"Permission denied; it stays at {before} (requested {int(before) + 4096})" in findings[0].message
    assert read(node, ESTABLISHED) == "86400", "the rest is set all the same"


def test_a_sysctl_that_does_not_exist_or_a_value_that_is_refused_is_told(node: Namespace, tmp_path: Path) -> None:
    sysctls = {"net.ipv4.no_such_thing": "1", "net.ipv4.ip_default_ttl": "4711", "net.ipv4.ip_forward": "1"}
    findings = node.call(lambda: configure(tmp_path, ProxyConfigSpec(conntrack=Conntrack(max_per_core=0), kernel=Kernel(sysctls=sysctls))))
    assert {finding.message.split(":")[0]: finding.reason for finding in findings} == {
        "net.ipv4.no_such_thing": "SysctlMissing",
        "net.ipv4.ip_default_ttl": "SysctlInvalid",
    }
    assert read(node, "net.ipv4.ip_forward") == "1"


@dataclass(frozen=True, slots=True)
class Pod:
    """A process with the mounts and rights of the agent's container: /proc/sys read-only, a second mount of /proc/sys/net, NET_ADMIN."""

    node: Namespace
    directory: Path

    def configure(self, *wishes: str, mounted: bool) -> tuple[dict[str, str], dict[str, str]]:
        """The findings' reasons and the values afterwards, by parameter."""
        second = self.directory / "host"
        (second / "net").mkdir(parents=True, exist_ok=True)
        root = second if mounted else Path("/proc/sys")
        script = f"""
            set -e
            mount --bind /proc/sys/net {second}/net
            mount --bind /proc/sys /proc/sys
            mount -o remount,bind,ro /proc/sys
            exec setpriv --bounding-set=-all,+net_admin --inh-caps=-all --no-new-privs -- \
                {sys.executable} {PROGRAM} {root} {self.directory}/state {" ".join(wishes)}
        """
        command = self.node.argv("unshare", "--mount", "--propagation=private", "sh", "-c", script)
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout.splitlines()[-1])
        return {message.split(":")[0]: reason for reason, message in told["findings"]}, told["values"]


def test_a_read_only_proc_sys_is_told_and_harms_nothing(node: Namespace, tmp_path: Path) -> None:
    before = read(node, ESTABLISHED)
    findings, values = Pod(node, tmp_path).configure(f"{ESTABLISHED}=4711", mounted=False)
    assert findings == {ESTABLISHED: "SysctlReadOnly"}
    assert values == {ESTABLISHED: before}


def test_the_agents_pod_sets_sysctls_with_net_admin_alone(node: Namespace, tmp_path: Path) -> None:
    findings, values = Pod(node, tmp_path).configure(f"{ESTABLISHED}=4711", "net.core.somaxconn=5000", mounted=True)
    assert findings == {}
    assert values == {ESTABLISHED: "4711", "net.core.somaxconn": "5000"}
    assert read(node, ESTABLISHED) == "4711"
