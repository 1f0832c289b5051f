"""What holds for every mode; a toy mode, in place of the last one, passes the same tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
from tests.unit.agent.dataplane.fakedataplane import FakeDataplane
from tests.unit.agent.dataplane.modes.toy import mode as toy_mode
from tests.unit.agent.dataplane.nftables.frontends import frontends
from tests.unit.operator.builders import INSTALLATION, config

import proxyconfig_agent.dataplane
from proxyconfig_agent.app import cleanup
from proxyconfig_agent.dataplane.modes import modes as agent_modes
from proxyconfig_agent.dataplane.modes.modes import ModeSpec, built, installed, left_behind, spec_of
from proxyconfig_agent.dataplane.port import DataplaneError, Lifecycle, Settings
from proxyconfig_agent.node import host
from proxyconfig_agent.report.metrics.metrics import Metrics
from proxyconfig_agent.sync.result import SyncReason, SyncResult
from proxyconfig_api.spec import modes
from proxyconfig_api.spec.modes import HostPath, PodNeeds
from proxyconfig_api.spec.sections import Mode, ProxyConfigSpec
from proxyconfig_operator.decide import agent_daemonset

PORTS = [frontends(cluster=("10.244.0.1:80",))]
TOY = Mode.USERSPACE
MODES = (Mode.NFTABLES, Mode.IPTABLES, Mode.IPVS, TOY)
KERNEL: dict[Mode, FakeDataplane] = {}
"""What each mode has on this node."""


def of_mode(mode: Mode) -> ModeSpec:
    """A mode that programs a fake kernel."""

    def left() -> Iterator[Lifecycle]:
        if KERNEL[mode].state:
            yield KERNEL[mode]

    return ModeSpec(make=lambda: KERNEL[mode], left_behind=left)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one line, and the module `mode` in place of the real one."""
    needs = PodNeeds(("NET_ADMIN", "NET_BIND_SERVICE"), (HostPath("toys", "/run/toys", "DirectoryOrCreate"),))
    monkeypatch.setitem(modes.BUILT, TOY, needs)
    monkeypatch.setitem(sys.modules, f"{proxyconfig_agent.dataplane.__name__}.{TOY.value}.mode", toy_mode)


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch, toy: None) -> None:
    """All modes on fake kernels."""
    assert TOY in modes.BUILT, toy
    KERNEL.clear()
    KERNEL.update({mode: FakeDataplane() for mode in MODES})
    monkeypatch.setattr(agent_modes, "spec_of", of_mode)


@pytest.mark.usefixtures("toy")
def test_a_mode_is_a_folder_and_one_line() -> None:
    assert spec_of(TOY).modules == ("toy",)
    assert spec_of(TOY) in built()
    assert "toy" in {module for spec in built() for module in spec.modules}


def test_without_the_line_the_mode_is_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(modes.BUILT, TOY)
    with pytest.raises(
        DataplaneError, match=r"^spec\.mode: userspace is not built into this version of the agent; use nftables or iptables"
    ):
        installed(TOY)
    assert not list(spec_of(TOY).left_behind())


@pytest.mark.parametrize("mode", list(modes.BUILT))
def test_every_mode_that_has_a_line_has_a_folder(mode: Mode) -> None:
    assert isinstance(spec_of(mode), ModeSpec)


@pytest.mark.usefixtures("toy")
def test_a_folder_without_a_spec_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = ModuleType("mode")
    broken.SPEC = None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "proxyconfig_agent.dataplane.userspace.mode", broken)
    with pytest.raises(TypeError, match="SPEC of mode userspace"):
        spec_of(TOY)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("after", MODES)
@pytest.mark.parametrize("before", MODES)
def test_each_mode_takes_over_from_each_other(before: Mode, after: Mode) -> None:
    installed(before).dataplane.resync(Settings(), PORTS)
    new = installed(after)
    new.lifecycle.probe()
    new.dataplane.resync(Settings(), PORTS)
    assert [mode for mode in MODES if KERNEL[mode].state] == [after]
    assert new.lifecycle.scan() == KERNEL[after].scan()


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("mode", MODES)
def test_a_removal_takes_away_what_every_mode_has_and_a_scan_proves_it(mode: Mode) -> None:
    for each in MODES:
        KERNEL[each].resync(Settings(), PORTS)
    lifecycle = installed(mode).lifecycle
    assert lifecycle.scan()
    lifecycle.remove()
    assert not lifecycle.scan()
    assert not list(left_behind())


@pytest.mark.usefixtures("kernels")
def test_a_clean_up_goes_through_every_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleanup, "built", lambda: tuple(map(of_mode, MODES)))
    for each in MODES:
        KERNEL[each].resync(Settings(), PORTS)
    assert cleanup._removed() == ([], [])
    assert not any(KERNEL[each].state for each in MODES)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("broken", MODES)
def test_a_clean_up_goes_on_where_one_mode_cannot_be_removed_and_says_so(monkeypatch: pytest.MonkeyPatch, broken: Mode) -> None:
    monkeypatch.setattr(cleanup, "built", lambda: tuple(map(of_mode, MODES)))
    for each in MODES:
        KERNEL[each].resync(Settings(), PORTS)
    KERNEL[broken].failure = 1.0
    assert cleanup._removed() == (["the kernel says no: Invalid argument"], [])
    assert [mode for mode in MODES if KERNEL[mode].state] == [broken]


@pytest.mark.usefixtures("toy")
def test_the_pods_of_a_mode_get_what_it_needs() -> None:
    pod = agent_daemonset.render(config(mode=TOY), INSTALLATION)["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert container["securityContext"]["capabilities"]["add"] == ["NET_ADMIN", "NET_BIND_SERVICE"]
    assert {"name": "toys", "mountPath": "/run/toys"} in container["volumeMounts"]
    assert {"name": "toys", "hostPath": {"path": "/run/toys", "type": "DirectoryOrCreate"}} in pod["volumes"]


@pytest.mark.usefixtures("toy")
def test_the_sysctls_of_a_mode_are_those_of_the_node() -> None:
    wanted = {each.name: each.value for each in host.sysctls_of(ProxyConfigSpec(mode=TOY), cores=1)}
    assert wanted["net.ipv4.conf.all.toy"] == "1"


@pytest.mark.usefixtures("toy")
def test_the_metrics_of_a_mode_are_there_while_it_runs() -> None:
    metrics = Metrics("1", TOY.value)
    metrics.count_packets(spec_of(TOY).counters)
    metrics.synced(SyncResult(SyncReason.PERIOD, 0.0, 0.1, error="the kernel says no"))
    page = metrics.page().body.decode()
    assert f'{toy_mode.FAILURES.name}{{ip_family="IPv4"}} 1.0' in page
    assert f"{toy_mode.WOUND.name} 7.0" in page
    metrics.mode("1", Mode.NFTABLES.value)
    assert "toy" not in metrics.page().body.decode()
