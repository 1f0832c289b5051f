"""Asks iptables-restore for each extension that the mode needs, in inputs that it reads and never carries out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from proxyconfig_agent.dataplane.iptables.tools.binaries import Backend, Tool, backends
from proxyconfig_agent.dataplane.iptables.tools.program import LockedError, ToolError
from proxyconfig_agent.dataplane.modes.probe import probed
from proxyconfig_agent.dataplane.port import LackingError, ProbeResult
from proxyconfig_agent.ingest.model import Family

_CHAIN = "KUBE-PROXY-PROBE"
_MODULES = {
    "conntrack state": "xt_conntrack",
    "address types": "xt_addrtype",
    "statistic": "xt_statistic",
    "recent": "xt_recent",
    "sctp": "xt_sctp",
}
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


Further = Callable[[Family], Mapping[str, tuple[str, str]]]


def probe(
    tools: Iterable[Tool], lacking: Mapping[Family, str], unneeded: Collection[str] = (), further: Further = lambda _: {}
) -> ProbeResult:
    """Every extension by name, without those that are `unneeded`, with `further` ones, and the families that lack one, or the tables
    (`lacking`).

    Raises DataplaneError if all of them do."""
    tools = tuple(tools)
    lacks = {**lacking, **{tool.family: lack for tool in tools if (lack := _lack(tool, _needed(tool.family, unneeded, further)))}}
    return probed("iptables", lacks, lambda served: _needed(served, unneeded, further))


def _needed(family: Family, unneeded: Collection[str], further: Further) -> dict[str, tuple[str, str]]:
    return {name: feature for name, feature in features(family).items() if name not in unneeded} | dict(further(family))


def _lack(tool: Tool, asked: Mapping[str, tuple[str, str]]) -> str:
    """The first extension that the kernel does not have in this family, with iptables' words; empty if it has them all."""
    # All at once first: each process takes its time.
    if not (whole := _refusal(tool, *asked.values())):
        return ""
    for name, feature in asked.items():
        if words := _refusal(tool, feature):
            return f"{name} for IPv{tool.family.value} is missing{_source(name)}: {words}"
    return f"the rules for IPv{tool.family.value} cannot be used together: {whole}"


def _source(name: str) -> str:
    """Where the kernel has an extension that a kernel may be built without, as other parts of iptables do not need it."""
    module = _MODULES.get(name)
    return f" (module {module}, CONFIG_NETFILTER_{module.replace('xt_', 'XT_MATCH_').upper()})" if module else ""


def _refusal(tool: Tool, *rules: tuple[str, str]) -> str:
    """What iptables says against these, empty if nothing. Raises LockedError."""
    try:
        tool.restore(_input(*rules), test=True)
    except LockedError:
        raise
    except ToolError as error:
        return str(error)
    return ""


def usable() -> tuple[dict[Family, Tool], dict[Family, str]]:
    """The tools of the families that the kernel has tables for, and what is lacking for the others: of the node's back end, or where the
    kernel has no tables of that at all, of the other one. Raises DataplaneError if there are none of either, ToolError."""
    without = dict[Family, str]()
    for backend in backends():
        tools, lacking = tools_of(backend)
        if tools:
            return tools, lacking
        without = without or lacking
    raise LackingError("iptables", "; ".join(without.values()))


def tools_of(backend: Backend) -> tuple[dict[Family, Tool], dict[Family, str]]:
    """The same of one back end; none raises."""
    tools, lacking = dict[Family, Tool](), dict[Family, str]()
    for family in Family:
        tool = Tool(family, backend)
        try:
            tool.restore([b"*nat\nCOMMIT\n"], test=True)
            tool.version()
        except ToolError as error:
            lacking[family] = f"the kernel has no iptables tables for IPv{family.value}: {error}"
        else:
            tools[family] = tool
    return tools, lacking


def knows_counters(tool: Tool) -> bool:
    """Whether rules may name nfacct objects."""
    return not _refusal(tool, ("filter", _COUNTED))


def _input(*rules: tuple[str, str]) -> list[bytes]:
    blocks = {table: "".join(f"-A {_CHAIN} {rule}\n" for of, rule in rules if of == table) for table in ("filter", "nat")}
    return [f"*{table}\n:{_CHAIN} - [0:0]\n{block}COMMIT\n".encode() for table, block in blocks.items() if block]
