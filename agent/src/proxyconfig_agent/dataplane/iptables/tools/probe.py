"""Asks iptables-restore for each extension that the mode needs, in inputs that it reads and never carries out."""

from __future__ import annotations

from proxyconfig_agent.dataplane.iptables.tools.binaries import Tool, choose
from proxyconfig_agent.dataplane.iptables.tools.program import ToolError
from proxyconfig_agent.dataplane.port import DataplaneError
from proxyconfig_agent.ingest.model import Family

_CHAIN = "KUBE-PROXY-PROBE"
_COUNTED = "-m nfacct --nfacct-name ct_state_invalid_dropped_pkts"


def features(family: Family) -> dict[str, tuple[str, str]]:
    """Each extension, with the table and a rule that need it; from the plainest on."""
    address = "10.0.0.1:80" if family is Family.IPV4 else "[fd00::1]:80"
    return {
        "comments": ("filter", "-m comment --comment x"),
        "conntrack state": ("filter", "-m conntrack --ctstate NEW"),
        "marks": ("filter", "-m mark --mark 0x4000/0x4000"),
        "REJECT": ("filter", "-j REJECT"),
        "DNAT": ("nat", f"-p tcp -m tcp -j DNAT --to-destination {address}"),
        "MARK": ("nat", "-j MARK --or-mark 0x4000"),
        "MASQUERADE": ("nat", "-j MASQUERADE --random-fully"),
        "address types": ("nat", "-m addrtype --dst-type LOCAL"),
        "statistic": ("nat", "-m statistic --mode random --probability 0.5"),
        "recent": ("nat", f"-m recent --name {_CHAIN} --rcheck --seconds 1 --reap"),
        "sctp": ("nat", "-p sctp -m sctp --dport 1"),
    }


def probe(tool: Tool) -> dict[str, str]:
    """Every extension by name, with `available`. Raises DataplaneError naming the first that is missing."""
    asked = features(tool.family)
    # All at once first: each process takes its time.
    try:
        tool.restore(_input(*asked.values()), test=True)
    except ToolError:
        for name, feature in asked.items():
            _ask(tool, name, feature)
        raise
    return dict.fromkeys(asked, "available")


def usable() -> dict[Family, Tool]:
    """The tools of the families that the kernel has tables for. Raises DataplaneError if there are none, ToolError."""
    backend, tools, words = choose(), dict[Family, Tool](), ""
    for family in Family:
        tool = Tool(family, backend)
        try:
            tool.restore([b"*nat\nCOMMIT\n"], test=True)
            tool.version()
        except ToolError as error:
            words = words or str(error)
        else:
            tools[family] = tool
    if not tools:
        raise DataplaneError(f"iptables: neither IPv4 nor IPv6 can be used: {words}")
    return tools


def knows_counters(tool: Tool) -> bool:
    """Whether rules may name nfacct objects."""
    try:
        tool.restore(_input(("filter", _COUNTED)), test=True)
    except ToolError:
        return False
    return True


def _ask(tool: Tool, name: str, feature: tuple[str, str]) -> None:
    try:
        tool.restore(_input(feature), test=True)
    except ToolError as error:
        fix = "load the module, use a kernel that has it, or choose another mode"
        raise DataplaneError(f"iptables: {name} for IPv{tool.family.value} is missing: {error}; {fix}") from error


def _input(*rules: tuple[str, str]) -> list[bytes]:
    blocks = {table: "".join(f"-A {_CHAIN} {rule}\n" for of, rule in rules if of == table) for table in ("filter", "nat")}
    return [f"*{table}\n:{_CHAIN} - [0:0]\n{block}COMMIT\n".encode() for table, block in blocks.items() if block]
