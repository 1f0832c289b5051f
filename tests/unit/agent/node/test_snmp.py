"""What the kernel has sent to say no, read as kernels write it."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxyconfig_agent.node.snmp import Refusals, read

OLD = """Ip: Forwarding DefaultTTL
Ip: 1 64
Icmp: InMsgs InErrors OutMsgs OutErrors OutDestUnreachs OutTimeExcds
Icmp: 7 0 50 0 40 0
IcmpMsg: InType3 OutType3
IcmpMsg: 7 40
Tcp: RtoAlgorithm RtoMin MaxConn OutSegs OutRsts InCsumErrors
Tcp: 1 200 -1 7111054 164125 0
"""
NEW = OLD.replace("OutErrors OutDestUnreachs OutTimeExcds", "OutErrors OutRateLimitGlobal OutRateLimitHost OutDestUnreachs").replace(
    "50 0 40 0", "50 0 100 1000 40"
)
SIX = "Icmp6OutErrors                  \t3\nIcmp6OutDestUnreachs            \t2\n"


@pytest.mark.parametrize(
    ("snmp", "snmp6", "expected"),
    [
        pytest.param(OLD, SIX, Refusals(resets=164125, unreachable=42), id="both families"),
        pytest.param(OLD, None, Refusals(resets=164125, unreachable=40), id="no IPv6"),
        pytest.param(NEW, SIX + "Icmp6OutRateLimitHost           \t20000\n", Refusals(164125, 21142), id="rate limits are counted"),
        pytest.param(None, None, Refusals(), id="nothing"),
        pytest.param("Tcp: 1\n\nIcmp:\nTcp: x\n", "garbage", Refusals(), id="garbage"),
    ],
)
def test_rejects_of_both_families_are_added_up(tmp_path: Path, snmp: str | None, snmp6: str | None, expected: Refusals) -> None:
    for name, text in (("snmp", snmp), ("snmp6", snmp6)):
        if text is not None:
            (tmp_path / name).write_text(text)
    assert read(tmp_path) == expected
