"""Others change the rules, hold the lock or kill us; iptables refuses a Service."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.kernel.in_namespace import Entered
from tests.kernel.iptables_port.conftest import Node
from tests.kernel.nftables.examples import SETTINGS, every_kind, many, with_other_endpoint
from tests.support.netns.namespace import run
from tests.support.netns.programs import ROOT
from tests.support.polling import eventually
from tests.unit.agent.dataplane.nftables.frontends import ip

from proxyconfig_agent.dataplane.iptables.tools import binaries
from proxyconfig_agent.dataplane.iptables.tools.binaries import Backend
from proxyconfig_agent.dataplane.port import Change, DataplaneError
from proxyconfig_agent.select.frontends import Frontends

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(200)]


def _flush_a_table(node: Node) -> None:
    node.iptables("-t", "nat", "-F")
    node.iptables("-t", "nat", "-X")


def _reload_a_firewall(node: Node) -> None:
    for table in ("filter", "nat", "mangle"):
        node.iptables("-t", table, "-F")
        node.iptables("-t", table, "-X")
    node.iptables("-t", "mangle", "-N", "KUBE-IPTABLES-HINT")


def _delete_a_canary(node: Node) -> None:
    node.iptables("-t", "mangle", "-X", "KUBE-PROXY-CANARY")


def _delete_a_shared_rule(node: Node) -> None:
    node.iptables("-t", "nat", "-D", "KUBE-SERVICES", "1")


def _delete_a_jump(node: Node) -> None:
    node.iptables("-t", "nat", "-D", "PREROUTING", "1")


def _flush_an_endpoint(node: Node) -> None:
    chain = next(line.split()[0][1:] for line in node.saved() if line.startswith(":KUBE-SEP-"))
    node.iptables("-t", "nat", "-F", chain)


def _empty_ipv6(node: Node) -> None:
    node.space.run(f"ip6tables-{node.backend}", "-t", "nat", "-F", "KUBE-SERVICES")


HARMS = [_flush_a_table, _reload_a_firewall, _delete_a_canary, _delete_a_shared_rule, _delete_a_jump, _flush_an_endpoint, _empty_ipv6]


@pytest.mark.parametrize("harm", HARMS)
def test_changes_by_hand_are_noticed_and_put_right(node: Node, dataplane: Entered, harm: Callable[[Node], None]) -> None:
    ports = every_kind()
    dataplane.resync(SETTINGS, ports)
    before = node.everything()
    harm(node)
    assert dataplane.disturbed()
    outcome = dataplane.resync(SETTINGS, ports)
    assert outcome.operations > 0
    assert outcome.repaired
    assert node.everything() == before
    assert not dataplane.disturbed()


@pytest.mark.parametrize("harm", HARMS)
def test_a_change_goes_on_after_others_changed_the_rules_and_the_rest_is_noticed(
    node: Node, dataplane: Entered, harm: Callable[[Node], None]
) -> None:
    ports = every_kind()
    dataplane.resync(SETTINGS, ports)
    harm(node)
    after = [replace(port, affinity_s=99, node_port=0) for port in ports]
    dataplane.apply([Change(old, new) for old, new in zip(ports, after, strict=True)])
    assert dataplane.disturbed()
    dataplane.resync(SETTINGS, after)
    assert dataplane.resync(SETTINGS, after).operations == 0


def test_rules_of_others_are_left_alone(node: Node, dataplane: Entered) -> None:
    dataplane.resync(SETTINGS, every_kind())
    node.iptables("-A", "FORWARD", "-s", "192.0.2.9", "-j", "DROP")
    node.iptables("-t", "nat", "-N", "CNI-HOSTPORT")
    # iptables-legacy does not tell what it was.
    assert dataplane.disturbed() == (node.backend is Backend.LEGACY)
    assert dataplane.resync(SETTINGS, every_kind()).operations == 0
    assert "-A FORWARD -s 192.0.2.9/32 -j DROP" in node.saved()


def _bad(port: Frontends) -> Frontends:
    """What iptables cannot read: an address of the other family."""
    return replace(port, external_ips=(ip("fd00::1"),))


def test_at_a_start_one_service_is_refused_in_iptables_words_and_the_rest_is_in(dataplane: Entered, start: Callable[[], Entered]) -> None:
    ports = list(many(40, 3))
    outcome = dataplane.resync(SETTINGS, [*ports[:20], _bad(ports[20]), *ports[21:]])
    (refusal,) = outcome.refused
    assert str(refusal.service) == "bench/service-20"
    assert "fd00::1" in refusal.reason
    assert start().resync(SETTINGS, [*ports[:20], *ports[21:]]).operations == 0


def test_a_change_that_is_refused_takes_the_service_out_of_both_families_and_leaves_the_others_in(
    dataplane: Entered, start: Callable[[], Entered]
) -> None:
    ports = every_kind()
    dataplane.resync(SETTINGS, ports)
    changes = [Change(port, _bad(port)) for port in ports if port.name.service.name == "nodeport" and port.family == 4]
    changes += [Change(port, replace(port, affinity_s=5)) for port in ports if port.name.service.name == "local"]
    outcome = dataplane.apply(changes)
    assert [str(refusal.service) for refusal in outcome.refused] == ["shop/nodeport"]
    assert dataplane.disturbed()
    now = [replace(port, affinity_s=5) if port.name.service.name == "local" else port for port in ports]
    bad = [_bad(port) if port.name.service.name == "nodeport" and port.family == 4 else port for port in now]
    assert [str(refusal.service) for refusal in dataplane.resync(SETTINGS, bad).refused] == ["shop/nodeport"]
    assert not dataplane.disturbed()
    assert start().resync(SETTINGS, [port for port in now if port.name.service.name != "nodeport"]).operations == 0


@pytest.fixture
def lock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A lock of iptables-legacy that nobody else on this machine uses, and a short patience."""
    path = tmp_path / "xtables.lock"
    monkeypatch.setenv("XTABLES_LOCKFILE", str(path))
    monkeypatch.setattr(binaries, "LOCK_S", 1)
    return path


@pytest.mark.parametrize("node", [Backend.LEGACY], indirect=True)
def test_a_lock_that_somebody_else_holds_for_a_while_is_waited_for(dataplane: Entered, lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "LOCK_ATTEMPTS", 60)  # who holds it may be late in giving it back
    dataplane.probe()
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        release = threading.Timer(1.5, fcntl.flock, (held, fcntl.LOCK_UN))
        release.start()
        assert dataplane.resync(SETTINGS, every_kind()).operations > 0
        release.join()


@pytest.mark.parametrize("node", [Backend.LEGACY], indirect=True)
def test_a_lock_that_is_never_given_back_is_told_and_no_service_is_blamed(dataplane: Entered, lock: Path) -> None:
    ports = every_kind()
    dataplane.resync(SETTINGS, ports)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(DataplaneError, match="xtables lock"):
            dataplane.apply([Change(ports[0], replace(ports[0], affinity_s=9))])
        assert dataplane.disturbed()
    assert dataplane.resync(SETTINGS, ports).operations == 0


SYNC = """
import sys
from tests.kernel.nftables.examples import SETTINGS, many
from proxyconfig_agent.dataplane.iptables.iptables import Iptables
dataplane = Iptables()
dataplane.probe()
print("ready", flush=True)
dataplane.resync(SETTINGS, list(many(300, 10))[int(sys.argv[1]):])
print("done", flush=True)
"""


def test_killed_in_a_sync_again_and_again_the_next_one_converges(node: Node, dataplane: Entered, start: Callable[[], Entered]) -> None:
    for pause_s in (0.0, 0.02, 0.05, 0.1, 0.2, 0.3):
        process = node.space.spawn(sys.executable, "-c", SYNC, str(int(pause_s * 100)), cwd=ROOT, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        threading.Event().wait(pause_s)
        process.kill()
        process.wait()
        process.stdout.close()
    eventually(lambda: not _busy(node), within_s=60)
    ports = list(many(300, 10))
    dataplane.resync(SETTINGS, ports)
    assert start().resync(SETTINGS, ports).operations == 0
    assert dataplane.apply([Change(ports[3], with_other_endpoint(ports[3], 5))]).operations == 3


def _busy(node: Node) -> bool:
    """Whether a program that a killed agent started still works in the namespace."""
    return bool(run("ip", "netns", "pids", node.space.name).split())
