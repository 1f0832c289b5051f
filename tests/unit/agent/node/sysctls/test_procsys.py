"""Parameters as files: names, errors, and the file that remembers what was changed."""

from __future__ import annotations

import contextlib
import errno
import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from proxyconfig_agent.node.sysctls.procsys import Ledger, Parameters, ProcSys, reconcile
from proxyconfig_agent.node.sysctls.sysctls import Changed, Requested, plan
from proxyconfig_agent.state.findings import Topic


@dataclass
class FakeKernel:
    """Parameters in a dict, with faults per name."""

    values: dict[str, str]
    faults: dict[str, int] = field(default_factory=dict)
    rounding: int = 1

    def read(self, name: str) -> str:
        if name not in self.values:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        return self.values[name]

    def write(self, name: str, value: str) -> None:
        if fault := self.faults.get(name):
            raise OSError(fault, os.strerror(fault))
        self.values[name] = str(-(-int(value) // self.rounding) * self.rounding)


def ledger_in(directory: Path) -> Ledger:
    return Ledger(directory, namespace=1)


@pytest.fixture
def tree(tmp_path: Path) -> ProcSys:
    (tmp_path / "net/ipv4/conf/eth0.1").mkdir(parents=True)
    (tmp_path / "net/ipv4/conf/eth0.1/rp_filter").write_text("2\n")
    (tmp_path / "net/ipv4/tcp_rmem").write_text("4096\t131072\t6291456\n")
    return ProcSys(tmp_path)


def test_a_slash_in_a_name_is_the_dot_of_an_interface(tree: ProcSys) -> None:
    assert tree.read("net.ipv4.conf.eth0/1.rp_filter") == "2"


def test_tabs_are_read_as_blanks(tree: ProcSys) -> None:
    assert tree.read("net.ipv4.tcp_rmem") == "4096 131072 6291456"


@pytest.mark.parametrize("name", ["net.//.//.//.etc.passwd", "net..ipv4", "", "net./.x"])
def test_no_name_leaves_the_tree(tree: ProcSys, name: str) -> None:
    with pytest.raises(FileNotFoundError):
        tree.read(name)
    with pytest.raises(FileNotFoundError):
        tree.write(name, "1")


def test_a_missing_parameter_is_not_created(tree: ProcSys) -> None:
    with pytest.raises(FileNotFoundError):
        tree.write("net.ipv4.absent", "1")
    assert not (tree.root / "net/ipv4/absent").exists()


def test_changes_are_put_back_by_a_later_process(tmp_path: Path) -> None:
    kernel = FakeKernel({"a": "1", "b": "2"})
    assert reconcile([Requested("a", "5"), Requested("b", "2")], kernel, ledger_in(tmp_path)) == ()
    assert kernel.values == {"a": "5", "b": "2"}
    assert ledger_in(tmp_path).changes == {"a": Changed("1", "5")}
    assert reconcile([], kernel, ledger_in(tmp_path)) == ()
    assert kernel.values == {"a": "1", "b": "2"}
    assert list(tmp_path.iterdir()) == []


def test_a_value_that_the_kernel_rounds_is_still_ours(tmp_path: Path) -> None:
    kernel = FakeKernel({"a": "1"}, rounding=512)
    reconcile([Requested("a", "1000", at_least=True)], kernel, ledger_in(tmp_path))
    assert kernel.values == {"a": "1024"}
    kernel.rounding = 1
    reconcile([], kernel, ledger_in(tmp_path))
    assert kernel.values == {"a": "1"}


@pytest.mark.parametrize(
    ("fault", "reason", "words"),
    [
        pytest.param(errno.EROFS, "SysctlReadOnly", "/host/proc/sys/net", id="read-only mount"),
        pytest.param(errno.EACCES, "SysctlRefused", "network namespace", id="not in this namespace"),
        pytest.param(errno.EPERM, "SysctlRefused", "capability", id="capability"),
        pytest.param(errno.EINVAL, "SysctlInvalid", "correct it", id="bad value"),
        pytest.param(errno.EIO, "SysctlRefused", "Input/output error", id="anything else"),
    ],
)
def test_what_cannot_be_set_is_told_with_the_kernels_reason(tmp_path: Path, fault: int, reason: str, words: str) -> None:
    kernel = FakeKernel({"a": "1", "b": "1"}, faults={"a": fault})
    (finding,) = reconcile([Requested("a", "5", Topic.CONNTRACK), Requested("b", "5")], kernel, ledger_in(tmp_path))
    assert (finding.topic, finding.reason) == (Topic.CONNTRACK, reason)
    assert "a: " in finding.message
    assert "it stays at 1 (requested 5)" in finding.message
    assert words in finding.message
    assert kernel.values == {"a": "1", "b": "5"}, "the others are set all the same"


def test_a_parameter_that_the_kernel_does_not_have_is_named(tmp_path: Path) -> None:
    (finding,) = reconcile([Requested("net.absent", "5")], FakeKernel({}), ledger_in(tmp_path))
    assert finding.reason == "SysctlMissing"
    assert finding.message.startswith("net.absent: No such file or directory")


def test_a_parameter_that_went_away_is_forgotten(tmp_path: Path) -> None:
    kernel = FakeKernel({"a": "1"})
    ledger = ledger_in(tmp_path)
    reconcile([Requested("a", "5")], kernel, ledger)
    del kernel.values["a"]
    assert reconcile([], kernel, ledger) == ()
    assert ledger.changes == {}


def test_without_a_writable_directory_it_is_remembered_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    kernel: Parameters = FakeKernel({"a": "1"})
    ledger = ledger_in(tmp_path / "file")
    (finding,) = reconcile([Requested("a", "5")], kernel, ledger)
    assert finding.harmless
    assert finding.reason == "PreviousValuesNotSaved"
    reconcile([], kernel, ledger)
    assert kernel.read("a") == "1"


def test_a_broken_file_is_as_none(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    ledger.path.write_text("{")
    assert ledger_in(tmp_path).changes == {}


def test_network_namespaces_have_their_own_files(tmp_path: Path) -> None:
    assert Ledger(tmp_path, 1).path != Ledger(tmp_path, 2).path
    assert str(os.stat("/proc/thread-self/ns/net").st_ino) in Ledger(tmp_path).path.name


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Dying:
    """The kernel as a process sees it that is killed at its nth access: before a write takes effect, or right after it."""

    kernel: FakeKernel
    accesses: int

    def read(self, name: str) -> str:
        self._live()
        return self.kernel.read(name)

    def write(self, name: str, value: str) -> None:
        self._live()
        self.kernel.write(name, value)
        self._live()

    def _live(self) -> None:
        self.accesses -= 1
        if self.accesses < 0:
            raise Killed


@pytest.mark.parametrize("accesses", range(14))
@pytest.mark.parametrize("again", [False, True], ids=["removed", "started again, then removed"])
def test_a_process_that_is_killed_at_any_moment_leaves_what_a_later_one_restores(tmp_path: Path, accesses: int, again: bool) -> None:
    before = {"max": "1000", "buckets": "250", "localnet": "0"}
    kernel = FakeKernel(dict(before), rounding=512)
    requested = [Requested("max", "2048", at_least=True), Requested("buckets", "600", at_least=True), Requested("localnet", "512")]
    with contextlib.suppress(Killed):
        reconcile(requested, Dying(kernel, accesses), ledger_in(tmp_path))
    if again:
        reconcile(requested, kernel, ledger_in(tmp_path))
        assert kernel.values == {"max": "2048", "buckets": "1024", "localnet": "512"}
    kernel.rounding = 1
    assert reconcile([], kernel, ledger_in(tmp_path)) == ()
    assert kernel.values == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("accesses", range(8))
def test_a_process_that_is_killed_while_it_restores_is_followed_by_one_that_finishes(tmp_path: Path, accesses: int) -> None:
    kernel = FakeKernel({"a": "1", "b": "2"})
    reconcile([Requested("a", "5"), Requested("b", "6")], kernel, ledger_in(tmp_path))
    with contextlib.suppress(Killed):
        reconcile([], Dying(kernel, accesses), ledger_in(tmp_path))
    reconcile([], kernel, ledger_in(tmp_path))
    assert kernel.values == {"a": "1", "b": "2"}
    assert list(tmp_path.iterdir()) == []


def test_a_change_that_was_about_to_be_made_when_the_process_ended_is_not_taken_for_ours_if_it_was_not_made() -> None:
    untouched = plan([], {"a": "1"}, {"a": Changed("1", None)})
    assert (untouched.writes, untouched.forgotten) == ((), ("a",))


def test_a_parameter_that_went_away_is_forgotten_in_the_file_as_well(tmp_path: Path) -> None:
    kernel = FakeKernel({"a": "1", "b": "1"})
    reconcile([Requested("a", "5"), Requested("b", "5")], kernel, ledger_in(tmp_path))
    del kernel.values["a"]
    reconcile([Requested("b", "5")], kernel, ledger_in(tmp_path))
    assert ledger_in(tmp_path).changes.keys() == {"b"}
