"""Which modules a kernel has, and what is said about those it lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxyconfig_agent.node.modules import Modules, findings, load, missing, read
from proxyconfig_agent.state.findings import Topic

RELEASE = "6.1.0-test"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "proc/net").mkdir(parents=True)
    (tmp_path / "proc/modules").write_text("nf_tables 303104 1 nft_ct, Live 0x0\nbr_netfilter 32768 0 - Live 0x0\n")
    (tmp_path / "sys/module/tcp_cubic").mkdir(parents=True)
    (tmp_path / "lib/modules" / RELEASE).mkdir(parents=True)
    (tmp_path / "lib/modules" / RELEASE / "modules.builtin").write_text("kernel/net/netfilter/nf-conntrack.ko\nkernel/lib/foo.ko.zst\n")
    return tmp_path


def test_loaded_and_built_in_modules_are_present(root: Path) -> None:
    modules = read(root, RELEASE)
    assert modules.loadable
    assert missing(["nf_tables", "br-netfilter", "tcp_cubic", "nf_conntrack", "foo"], modules) == ()
    assert missing(["ip_vs", "nf_tables", "ip_vs"], modules) == ("ip_vs",)


def test_a_file_of_the_module_proves_it_where_no_list_does(root: Path) -> None:
    (root / "proc/net/ip_vs").write_text("")
    assert missing(["ip_vs"], read(root, RELEASE)) == ()


def test_another_kernels_modules_do_not_count(root: Path) -> None:
    assert missing(["nf_conntrack"], read(root, "6.2.0")) == ("nf_conntrack",)


def test_nothing_readable_is_nothing_present(tmp_path: Path) -> None:
    assert read(tmp_path, RELEASE) == Modules(RELEASE, frozenset(), loadable=False)


def test_the_running_kernel_can_be_read() -> None:
    assert read().release


@pytest.mark.parametrize(("loadable", "advice"), [(True, "load it on the host"), (False, "cannot load modules")])
def test_a_missing_module_is_named_with_the_kernel_and_what_to_do(loadable: bool, advice: str) -> None:
    (finding,) = findings(["ip_vs"], Modules(RELEASE, frozenset(), loadable))
    assert finding.topic is Topic.MODULES
    assert f"module ip_vs is neither loaded nor built into kernel {RELEASE}" in finding.message
    assert advice in finding.message


@pytest.fixture
def modprobe(tmp_path: Path) -> Path:
    script = tmp_path / "modprobe"
    script.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n[ "$2" != bad ] || {{ echo "FATAL: Module bad not found" >&2; exit 1; }}\n'
    )
    script.chmod(0o755)
    return script


def test_modules_are_loaded_one_by_one_and_failures_have_modprobes_words(modprobe: Path) -> None:
    assert load(["a", "bad", "--remove"], str(modprobe)) == ("bad: FATAL: Module bad not found",)
    assert (modprobe.parent / "calls").read_text() == "-- a\n-- bad\n-- --remove\n"


def test_without_modprobe_each_failure_says_so(tmp_path: Path) -> None:
    (failure,) = load(["a"], str(tmp_path / "absent"))
    assert "No such file or directory" in failure
