"""A rule's text as matches and a target, by the manual pages iptables(8) and iptables-extensions(8). Whatever is not known is an error."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache

from msgspec import Struct

from proxyconfig_agent.checks.walker.iptables.options import Option, options_of
from proxyconfig_agent.checks.walker.iptables.sets import InSet, in_set
from proxyconfig_agent.checks.walker.path import Passage
from proxyconfig_agent.ingest.model import Protocol

Match = Callable[[Passage], bool]
_EXACT_ENOUGH = Fraction(1, 10**9)


class Rule(Struct, frozen=True):
    """`target` is empty for a rule that only counts; `options` are the target's, by name."""

    destination: bytes
    """The one address that it is about, packed; empty if it is about more. Most rules of a long chain are told apart by it alone."""
    matches: tuple[Match, ...]
    sets: tuple[InSet, ...]
    """Besides, the sets that have, or do not have, the packets that match."""
    share: Fraction
    """Of the packets that match, how many it takes: less than all by chance."""
    target: str
    options: Mapping[str, str]


@lru_cache(maxsize=20_000)
def rule_of(text: str) -> Rule:
    """What stands behind `-A CHAIN `. Raises ValueError."""
    destination, general = b"", list[Match]()
    others, sets, share = list[Match](), list[InSet](), Fraction(1)
    options = list(options_of(text))
    target = next((at for at, (name, _, _) in enumerate(options) if name == "-j"), len(options))
    for at, (name, values, inverted) in enumerate(options[:target]):
        if name == "-d" and not inverted and (address := _only_address(values[0])):
            destination = address
        elif name == "--probability" and not inverted:
            share = _probability(values[0])
        elif name == "--match-set":
            sets.append(in_set(values, inverted=inverted))
        elif name in _GENERAL:
            general.append(_inverted(_GENERAL[name](values[0]), inverted=inverted))
        elif name in _EXTENSIONS:
            others.append(_inverted(_EXTENSIONS[name](values, options[:target]), inverted=inverted))
        elif name not in _SILENT:
            raise ValueError(f"{name} in {text} (option {at + 1}) is not known here")
    behind = {name: " ".join(values) for name, values, _ in options[target + 1 :]}
    return Rule(destination, (*general, *others), tuple(sets), share, options[target][1][0] if target < len(options) else "", behind)


def _inverted(match: Match, *, inverted: bool) -> Match:
    return (lambda passage: not match(passage)) if inverted else match


def _source(value: str) -> Match:
    within = _within(value)
    return lambda passage: within(passage.packet.source)


def _destination(value: str) -> Match:
    within = _within(value)
    return lambda passage: within(passage.packet.destination)


def _only_address(text: str) -> bytes:
    """The address of a network that has one; empty for others."""
    network = ipaddress.ip_network(text)
    return network.network_address.packed if network.prefixlen == network.max_prefixlen else b""


def _within(text: str) -> Callable[[bytes], bool]:
    network = ipaddress.ip_network(text)
    base, host_bits, size = network.network_address.packed, network.max_prefixlen - network.prefixlen, network.max_prefixlen // 8
    if not host_bits:
        return lambda address: address == base
    leading = int.from_bytes(base) >> host_bits
    return lambda address: len(address) == size and int.from_bytes(address) >> host_bits == leading


def _came_in(value: str) -> Match:
    if value.endswith("+"):
        return lambda passage: passage.packet.came_in.startswith(value[:-1])
    return lambda passage: passage.packet.came_in == value


def _protocol(value: str) -> Match:
    number = Protocol[value.upper()]
    return lambda passage: passage.packet.protocol == number


def _port(values: list[str], _: list[Option]) -> Match:
    port = int(values[0])
    return lambda passage: passage.packet.port == port


def _destination_type(values: list[str], _: list[Option]) -> Match:
    _only(values, "LOCAL")
    return lambda passage: passage.node.is_local(passage.packet.destination)


def _source_type(values: list[str], _: list[Option]) -> Match:
    _only(values, "LOCAL")
    return lambda passage: passage.node.is_local(passage.packet.source)


def _state(values: list[str], _: list[Option]) -> Match:
    """The first packet of a connection is NEW, whatever happens to it; DNAT is a state beside it."""
    states = set(values[0].split(","))
    return lambda passage: "NEW" in states or ("DNAT" in states and passage.packet.translated)


def _mark(values: list[str], _: list[Option]) -> Match:
    value, mask = masked(values[0])
    return lambda passage: passage.packet.mark & mask == value


def _not_bridged(_: list[str], __: list[Option]) -> Match:
    """Which port of a bridge a packet came in by is not known here. Who is behind one is not asked for."""
    return lambda _: False


def _virtual_address(values: list[str], _: list[Option]) -> Match:
    within = _within(values[0])
    return lambda passage: (server := passage.packet.virtual_server) is not None and within(server.address)


def _virtual_protocol(values: list[str], _: list[Option]) -> Match:
    number = int(values[0]) if values[0].isdigit() else Protocol[values[0].upper()]
    return lambda passage: (server := passage.packet.virtual_server) is not None and server.protocol == number


def _virtual_port(values: list[str], _: list[Option]) -> Match:
    port = int(values[0])
    return lambda passage: (server := passage.packet.virtual_server) is not None and server.port == port


def _probability(value: str) -> Fraction:
    """The fraction that was meant: ten digits of a third are a third."""
    share = Fraction(value).limit_denominator(10_000)
    if abs(share - Fraction(value)) > _EXACT_ENOUGH:
        raise ValueError(f"{value} is no fraction that is known here")
    return share


def _remember(_: list[str], options: list[Option]) -> Match:
    name = _value_of(options, "--name")

    def match(passage: Passage) -> bool:
        passage.memory[name, passage.packet.source] = b""
        return True

    return match


def _remembered(_: list[str], options: list[Option]) -> Match:
    name = _value_of(options, "--name")
    return lambda passage: (name, passage.packet.source) in passage.memory


def _value_of(options: list[Option], name: str) -> str:
    return next(values[0] for found, values, _ in options if found == name)


def masked(text: str) -> tuple[int, int]:
    value, _, mask = text.partition("/")
    return int(value, 0), int(mask, 0) if mask else 0xFFFFFFFF


def _only(values: list[str], known: str) -> None:
    if values != [known]:
        raise ValueError(f"{values} is not known here, only {known}")


_GENERAL: Mapping[str, Callable[[str], Match]] = {"-s": _source, "-d": _destination, "-i": _came_in, "-p": _protocol}
_EXTENSIONS: Mapping[str, Callable[[list[str], list[Option]], Match]] = {
    "--dport": _port,
    "--dst-type": _destination_type,
    "--src-type": _source_type,
    "--ctstate": _state,
    "--mark": _mark,
    "--set": _remember,
    "--rcheck": _remembered,
    "--physdev-is-in": _not_bridged,
    "--vaddr": _virtual_address,
    "--vproto": _virtual_protocol,
    "--vport": _virtual_port,
}
_SILENT = frozenset(("-m", "--comment", "--name", "--seconds", "--reap", "--mode", "--nfacct-name", "--mask", "--rsource"))
"""They match nothing by themselves. Time stands still here, so nothing that is remembered is ever too old."""
