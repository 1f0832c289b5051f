"""Expressions as functions, as net/netfilter/nft_*.c execute them. An expression, or an attribute of one, that is not known is an error.

A rule meets thousands of packets: what its attributes say is read once, into a function for each expression.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from proxyconfig_agent.checks.walker.nftables import loads
from proxyconfig_agent.checks.walker.nftables.loads import only
from proxyconfig_agent.checks.walker.nftables.machine import Machine, Step
from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.nftables.decoder import Expression, NftVerdict, decode

ACCEPT = NftVerdict(uapi.NF_ACCEPT)
BREAK = NftVerdict(uapi.NFT_BREAK)
"""The rule ends, the next one follows."""
REJECT = NftVerdict(-100)
"""Drop, and answer the sender."""


@lru_cache(maxsize=2_000)  # those that all Services share, and those of the Service that is walked
def steps_of(expressions: bytes) -> tuple[Step, ...]:
    """Of NFTA_RULE_EXPRESSIONS. Raises ValueError, KeyError."""
    return tuple(_step(expression) for expression in decode(expressions))


def _step(expression: Expression) -> Step:
    if expression.name not in _READERS:
        raise ValueError(f"{expression.name} is not known here")
    reader, known = _READERS[expression.name]
    if unknown := set(expression.attributes).difference(known):
        raise ValueError(f"attribute {min(unknown)} of {expression.name} is not known here")
    return reader(expression)


def _lookup(expression: Expression) -> Step:
    name, key = expression.text(uapi.NFTA_LOOKUP_SET), expression.word(uapi.NFTA_LOOKUP_SREG)
    if expression.number(uapi.NFTA_LOOKUP_FLAGS) & uapi.NFT_LOOKUP_F_INV:
        return lambda machine: None if machine.find(name, key) is None else BREAK
    into = expression.word(uapi.NFTA_LOOKUP_DREG) if expression.number(uapi.NFTA_LOOKUP_DREG) else -1

    def step(machine: Machine) -> NftVerdict | None:
        found = machine.find(name, key)
        if found is None:
            return BREAK
        if isinstance(found, NftVerdict):
            return found
        if into >= 0:
            machine.store(into, found)
        return None

    return step


def _dynset(expression: Expression) -> Step:
    name, at = expression.text(uapi.NFTA_DYNSET_SET_NAME), expression.word(uapi.NFTA_DYNSET_SREG_KEY)
    only(not expression.number(uapi.NFTA_DYNSET_FLAGS), "dynset without flags")
    delete = expression.number(uapi.NFTA_DYNSET_OP) == uapi.NFT_DYNSET_OP_DELETE
    source = expression.word(uapi.NFTA_DYNSET_SREG_DATA) if expression.has(uapi.NFTA_DYNSET_SREG_DATA) else -1

    def step(machine: Machine) -> NftVerdict | None:
        held, memory = machine.table.sets[name], machine.passage.memory
        key = machine.load(at, held.key_length)
        if delete:
            memory.pop((name, key), None)
            return None
        value = machine.load(source, held.value_length) if source >= 0 else b""
        if held.size and (name, key) not in memory and sum(of == name for of, _ in memory) >= held.size:
            return BREAK
        memory.setdefault((name, key), value)
        return None

    return step


def _bitwise(expression: Expression) -> Step:
    source, into = expression.word(uapi.NFTA_BITWISE_SREG), expression.word(uapi.NFTA_BITWISE_DREG)
    only(expression.number(uapi.NFTA_BITWISE_OP) == uapi.NFT_BITWISE_BOOL, "bitwise by mask and xor")
    length = expression.number(uapi.NFTA_BITWISE_LEN)
    mask, xor = (int.from_bytes(expression.value(kind)) for kind in (uapi.NFTA_BITWISE_MASK, uapi.NFTA_BITWISE_XOR))
    return lambda machine: machine.store(into, (int.from_bytes(machine.load(source, length)) & mask ^ xor).to_bytes(length))


def _cmp(expression: Expression) -> Step:
    value, source = expression.value(uapi.NFTA_CMP_DATA), expression.word(uapi.NFTA_CMP_SREG)
    operation, length = expression.number(uapi.NFTA_CMP_OP), len(value)
    only(operation in (uapi.NFT_CMP_EQ, uapi.NFT_CMP_NEQ), "to compare for equality")
    equal = operation == uapi.NFT_CMP_EQ
    return lambda machine: None if (machine.load(source, length) == value) is equal else BREAK


def _immediate(expression: Expression) -> Step:
    if expression.number(uapi.NFTA_IMMEDIATE_DREG) == uapi.NFT_REG_VERDICT:
        verdict = expression.verdict(uapi.NFTA_IMMEDIATE_DATA)
        return lambda _: verdict
    into, value = expression.word(uapi.NFTA_IMMEDIATE_DREG), expression.value(uapi.NFTA_IMMEDIATE_DATA)
    return lambda machine: machine.store(into, value)


def _nat(expression: Expression) -> Step:
    only(expression.number(uapi.NFTA_NAT_TYPE) == uapi.NFT_NAT_DNAT, "dnat")
    only(not expression.number(uapi.NFTA_NAT_FLAGS) & uapi.NF_NAT_RANGE_NETMAP, "dnat to one address")
    address, port = _single(expression, uapi.NFTA_NAT_REG_ADDR_MIN), _single(expression, uapi.NFTA_NAT_REG_PROTO_MIN)

    def step(machine: Machine) -> NftVerdict:
        packet = machine.packet
        before = packet.destination, packet.port
        after = (
            before[0] if address < 0 else machine.load(address, len(packet.destination)),
            before[1] if port < 0 else int.from_bytes(machine.load(port, 2)),
        )
        if after != before:  # else conntrack's status has no such bit
            packet.asked_for, packet.translated = before[0] + before[1].to_bytes(2), True
            packet.destination, packet.port = after
        return ACCEPT

    return step


def _single(expression: Expression, least: int) -> int:
    """The register of a range that is one value; -1 where there is none. Its other end is the attribute that follows."""
    if not expression.has(least):
        return -1
    only(expression.number(least + 1, expression.number(least)) == expression.number(least), "dnat to one address and port")
    return expression.word(least)


def _masq(_: Expression) -> Step:
    def step(machine: Machine) -> NftVerdict:
        machine.packet.masqueraded = True
        return ACCEPT

    return step


_READERS: Mapping[str, tuple[Callable[[Expression], Step], range]] = {
    "payload": (loads.payload, range(1, 5)),
    "meta": (loads.meta, range(1, 4)),
    "ct": (loads.ct, range(1, 4)),
    "lookup": (_lookup, range(1, 6)),
    "dynset": (_dynset, range(1, 10)),
    "bitwise": (_bitwise, range(1, 7)),
    "cmp": (_cmp, range(1, 4)),
    "immediate": (_immediate, range(1, 3)),
    "fib": (loads.fib, range(1, 4)),
    "nat": (_nat, range(1, 8)),
    "masq": (_masq, range(1, 2)),
    "reject": (lambda _: lambda _: REJECT, range(1, 3)),
    "numgen": (loads.numgen, range(1, 5)),
    "counter": (lambda _: lambda _: None, range(1, 4)),
}
"""With the attributes that are known of each."""
