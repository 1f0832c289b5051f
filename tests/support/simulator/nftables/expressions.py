"""The expressions of a rule, decoded from their attributes by the kernel's own numbers (linux/netfilter/nf_tables.h)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from proxyconfig_agent.netlink import frames

ACCEPT, DROP, JUMP, GOTO, RETURN, CONTINUE = 1, 0, -3, -4, -5, -1


@dataclass(frozen=True, slots=True)
class Jump:
    """A verdict; `chain` is where JUMP and GOTO lead."""

    code: int
    chain: str = ""


@dataclass(frozen=True, slots=True)
class Expression:
    """Its name and its attributes by number."""

    name: str
    attributes: Mapping[int, bytes]

    def number(self, kind: int, default: int = 0) -> int:
        octets = self.attributes.get(kind)
        return default if octets is None else int.from_bytes(octets)

    def text(self, kind: int) -> str:
        return text(self.attributes.get(kind, b""))

    def value(self, kind: int) -> bytes:
        """NFTA_DATA_VALUE of a nested NFTA_DATA attribute."""
        return dict(frames.attributes(self.attributes[kind]))[1]

    def verdict(self, kind: int) -> Jump:
        return decode_verdict(dict(frames.attributes(self.attributes[kind]))[2])

    def has(self, kind: int) -> bool:
        return kind in self.attributes


@cache
def decode(expressions: bytes) -> tuple[Expression, ...]:
    """NFTA_RULE_EXPRESSIONS."""
    return tuple(_expression(payload) for _, payload in frames.attributes(expressions))


def decode_verdict(octets: bytes) -> Jump:
    attributes = dict(frames.attributes(octets))
    return Jump(int.from_bytes(attributes[1], signed=True), text(attributes.get(2, b"")))


def text(octets: bytes) -> str:
    return octets.rstrip(b"\0").decode()


@cache
def jumps(expressions: bytes) -> tuple[str, ...]:
    """The chains that a rule leads to by itself."""
    verdicts = (each.verdict(2) for each in decode(expressions) if each.name == "immediate" and each.number(1) == 0)
    return tuple(verdict.chain for verdict in verdicts if verdict.chain)


@cache
def sets_used(expressions: bytes) -> tuple[str, ...]:
    return tuple(each.text(1) for each in decode(expressions) if each.name in ("lookup", "dynset"))


def _expression(octets: bytes) -> Expression:
    attributes = dict(frames.attributes(octets))
    return Expression(text(attributes[1]), dict(frames.attributes(attributes.get(2, b""))))
