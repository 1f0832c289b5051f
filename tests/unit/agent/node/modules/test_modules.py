"""Which modules a kernel has, how they are loaded, and what the init container leaves to the agent."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from proxyconfig_agent.dataplane.modes.modes import spec_of
from proxyconfig_agent.node import init
from proxyconfig_agent.node.modules import module_record
from proxyconfig_agent.node.modules.module_record import Record
from proxyconfig_agent.node.modules.module_states import Modules, missing, states
from proxyconfig_agent.node.modules.modules import load, read
from proxyconfig_api.objects.nodeproxy import ModuleState
from proxyconfig_api.spec.sections import Mode

RELEASE = "6.1.0-test"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "proc/net").mkdir(parents=True)
    (tmp_path / "proc/modules").write_text("nf_tables 303104 1 nft_ct, Live 0x0\nbr_netfilter 32768 0 - Live 0x0\n")
    for name in ("tcp_cubic", "nf_tables"):
        (tmp_path / "sys/module" / name).mkdir(parents=True)
    (tmp_path / "lib/modules" / RELEASE).mkdir(parents=True)
    (tmp_path / "lib/modules" / RELEASE / "modules.builtin").write_text("kernel/net/netfilter/nf-conntrack.ko\nkernel/lib/foo.ko.zst\n")
    (tmp_path / "lib/modules" / RELEASE / "modules.dep").write_text("kernel/net/netfilter/ipvs/ip_vs_rr.ko.xz: kernel/net/ip_vs.ko.xz\n")
    return tmp_path


def test_loaded_and_built_in_modules_are_told_apart(root: Path) -> None:
    modules = read(root, RELEASE)
    assert modules.loadable
    names = ["nf_tables", "br-netfilter", "tcp_cubic", "nf_conntrack", "foo"]
    assert [(each.name, each.state.value) for each in states(names, modules)] == [
        ("nf_tables", "Loaded"),
        ("br_netfilter", "Loaded"),
        ("tcp_cubic", "BuiltIn"),
        ("nf_conntrack", "BuiltIn"),
        ("foo", "BuiltIn"),
    ]
    assert missing(["ip_vs", "nf_tables", "ip_vs"], modules) == ("ip_vs",)


def test_a_module_that_is_there_and_not_loaded_is_not_missing(root: Path) -> None:
    (module,) = states(["ip_vs_rr"], read(root, RELEASE))
    assert (module.state, module.message) == (ModuleState.NOT_LOADED, "it is not loaded; run `modprobe ip_vs_rr` on the node")


def test_a_file_of_the_module_proves_it_where_no_list_does(root: Path) -> None:
    (root / "proc/net/ip_vs").write_text("")
    assert missing(["ip_vs"], read(root, RELEASE)) == ()


@pytest.mark.parametrize("file", ["proc/config.gz", f"boot/config-{RELEASE}", f"lib/modules/{RELEASE}/config"])
def test_the_configuration_of_the_kernel_says_what_it_has(root: Path, file: str) -> None:
    text = b"CONFIG_IP_VS=y\nCONFIG_IP_VS_RR=m\n# CONFIG_IP_VS_SH is not set\n"
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_bytes(gzip.compress(text) if file.endswith(".gz") else text)
    found = {each.name: each for each in states(["ip_vs", "ip_vs_rr", "ip_vs_sh"], read(root, RELEASE))}
    assert [each.state for each in found.values()] == [ModuleState.BUILT_IN, ModuleState.NOT_LOADED, ModuleState.MISSING]
    assert found["ip_vs_sh"].message == f"kernel {RELEASE} is built without CONFIG_IP_VS_SH; use a kernel that has it"


def test_another_kernels_modules_do_not_count(root: Path) -> None:
    assert missing(["nf_conntrack"], read(root, "6.2.0")) == ("nf_conntrack",)


def test_nothing_readable_is_nothing_known(tmp_path: Path) -> None:
    kernel = read(tmp_path, RELEASE)
    assert kernel == Modules(RELEASE, built_in=None, loadable=False)
    assert [each.state for each in states(["ip_vs"], kernel)] == [ModuleState.UNKNOWN]


def test_the_running_kernel_can_be_read() -> None:
    assert read().release


@pytest.fixture
def modprobe(tmp_path: Path) -> Path:
    script = tmp_path / "modprobe"
    script.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n[ "$2" != bad ] || {{ echo "FATAL: Module bad not found" >&2; exit 1; }}\n'
    )
    script.chmod(0o755)
    return script


def test_modules_are_loaded_one_by_one_and_failures_have_modprobes_words(modprobe: Path) -> None:
    assert load(["a", "bad", "--remove"], str(modprobe)) == {"a": "", "bad": "FATAL: Module bad not found", "--remove": ""}
    assert (modprobe.parent / "calls").read_text() == "-- a\n-- bad\n-- --remove\n"


def test_without_modprobe_each_failure_says_so(tmp_path: Path) -> None:
    assert "No such file or directory" in load(["a"], str(tmp_path / "absent"))["a"]


def bare() -> Modules:
    """A kernel that has no module, whatever is loaded."""
    return Modules(RELEASE)


@pytest.mark.parametrize(("mode", "others"), [(Mode.NFTABLES, "xt_comment"), (Mode.IPTABLES, "nft_numgen")])
def test_the_modules_of_the_mode_are_loaded_and_none_of_another(tmp_path: Path, modprobe: Path, mode: Mode, others: str) -> None:
    init.load(mode, ["bad"], bare, tmp_path, str(modprobe))
    record = module_record.load(tmp_path)
    assert record.failures == {"bad": "FATAL: Module bad not found"}
    assert {"nf_conntrack", "nf_conntrack_netlink", "nft_numgen" if mode is Mode.NFTABLES else "xt_comment"} <= set(record.loaded)
    assert others not in record.loaded


def test_for_auto_the_next_modes_modules_are_loaded_where_those_of_one_are_not_there(tmp_path: Path, modprobe: Path) -> None:
    init.load(Mode.AUTO, [], bare, tmp_path, str(modprobe))
    loaded = module_record.load(tmp_path).loaded
    assert loaded.index("nft_numgen") < loaded.index("xt_comment")


def test_for_auto_no_more_modules_are_loaded_than_the_first_mode_needs(tmp_path: Path, modprobe: Path) -> None:
    built_in = frozenset(spec_of(Mode.NFTABLES).modules)
    init.load(Mode.AUTO, [], lambda: Modules(RELEASE, built_in=built_in), tmp_path, str(modprobe))
    assert not [name for name in module_record.load(tmp_path).loaded if name.startswith("xt_")]


def test_what_earlier_pods_have_loaded_stays_on_record_and_failures_are_those_of_the_last(tmp_path: Path) -> None:
    first = Record().after({"ip_vs": "", "ip_vs_rr": "no"})
    module_record.save(first.after({"ip_vs_rr": "", "ip_vs_sh": "no"}), tmp_path)
    assert module_record.load(tmp_path) == Record(("ip_vs", "ip_vs_rr"), {"ip_vs_sh": "no"})


def test_the_agent_reads_what_the_init_container_has_recorded(root: Path) -> None:
    record = Record(("nf_tables",), {"ip_vs_rr": "could not insert 'ip_vs_rr': Operation not permitted"})
    mine, refused = states(["nf_tables", "ip_vs_rr"], read(root, RELEASE, record))
    assert mine.message == "loaded by the init container"
    assert refused.state is ModuleState.NOT_PERMITTED
    assert "Operation not permitted" in refused.message
    assert "`modprobe ip_vs_rr`" in refused.message


@pytest.mark.parametrize("content", [b"", b"{", b'{"loaded": 1}'])
def test_a_record_that_cannot_be_read_is_as_good_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / module_record.FILE).write_bytes(content)
    assert module_record.load(tmp_path) == Record()
    module_record.save(Record(("ip_vs",)), tmp_path / "not" / "there")
