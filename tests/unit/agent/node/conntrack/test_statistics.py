"""How full the connection tracking table is, read as kernels write it."""

from __future__ import annotations

from pathlib import Path

from proxyconfig_agent.node.conntrack.statistics import Statistics, read

NAMES = "entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error"
CPUS = (
    "000003e8  00000000 0000000a 00000000 00000001 00000000 00000000 00000000 00000000 0000000f 00000010 00000000 00000000",
    "000003e8  00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000001 00000000 00000000 00000000",
)


def test_counters_are_hexadecimal_and_added_up_over_cpus(tmp_path: Path) -> None:
    for path, text in {
        "sys/net/netfilter/nf_conntrack_count": "1000\n",
        "sys/net/netfilter/nf_conntrack_max": "262144\n",
        "net/stat/nf_conntrack": "\n".join((NAMES, *CPUS)) + "\n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert read(tmp_path) == Statistics(entries=1000, limit=262144, insert_failed=16, dropped=16)


def test_what_the_kernel_does_not_tell_is_unknown(tmp_path: Path) -> None:
    assert read(tmp_path) == Statistics()
