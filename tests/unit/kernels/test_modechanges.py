"""The rows that a run of the mode changes writes into docs/modes.md."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.kernels import modechanges

PAGE = f"""# Modes
{modechanges.HEADS[modechanges.FORWARD]}
|---|---|
| nftables | ipvs | old |
| ipvs | nftables | old |

Words.
{modechanges.HEADS[modechanges.BACK]}
|---|---|

More words.
"""
COUNTS = {f"{kind} {word}": "0" for kind in ("connection", "connections", "datagrams") for word in ("sent", "lost")}


def report(folder: Path, *cases: tuple[str, str]) -> Path:
    """A JUnit report: a test by name, and what is in its element besides the record."""
    last = {"left": "nothing, at once", "back after": "1.6 s"}
    record = COUNTS | {"connection sent": "1234", "datagrams lost": "1", "connections kept": "4"} | last
    properties = "".join(f'<property name="{name}" value="{value}"/>' for name, value in record.items())
    listed = "".join(f'<testcase name="{name}"><properties>{properties}</properties>{inside}</testcase>' for name, inside in cases)
    path = folder / "report.xml"
    path.write_text(f"<testsuites><testsuite>{listed}</testsuite></testsuites>")
    return path


def test_rows_of_what_passed_take_the_place_of_earlier_ones_in_the_order_of_the_modes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "modes.md"
    page.write_text(PAGE)
    monkeypatch.setattr(modechanges, "PAGE", page)
    of, back = modechanges.FORWARD, modechanges.BACK
    cases = (
        (f"{of}[ipvs-nftables]", ""),
        (f"{of}[nftables-ipvs]", "<failure/>"),
        (f"{of}[nftables-iptables]", ""),
        (f"{back}[ipvs-iptables]", ""),
    )

    modechanges.write([report(tmp_path, *cases)])

    written = "1,234 | 0 | 0 | 1 datagram | 4 of 4"
    rows = (f"| nftables | iptables | {written} | nothing, at once |", "| nftables | ipvs | old |")
    whole = (*rows, f"| ipvs | nftables | {written} | nothing, at once |")
    before = PAGE.replace("| nftables | ipvs | old |\n| ipvs | nftables | old |", "\n".join(whole))
    assert page.read_text() == before.replace("|---|---|\n\nMore", f"|---|---|\n| ipvs | iptables | {written} | 1.6 s |\n\nMore")
