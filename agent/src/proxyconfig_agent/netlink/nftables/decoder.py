"""The expressions of a rule, decoded from their attributes by the kernel's own numbers (linux/netfilter/nf_tables.h)."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.frames import attributes, text_of


class NftVerdict(Struct, frozen=True):
    """`chain` is where NFT_JUMP and NFT_GOTO lead."""

    code: int
    chain: str = ""


class Expression(Struct, frozen=True):
    """Its name and its attributes by number."""

    name: str
    attributes: Mapping[int, bytes]

    def number(self, kind: int, default: int = 0) -> int:
        octets = self.attributes.get(kind)
        return default if octets is None else int.from_bytes(octets)

    def text(self, kind: int) -> str:
        return text_of(self.attributes.get(kind, b""))

    def value(self, kind: int) -> bytes:
        """NFTA_DATA_VALUE of a nested NFTA_DATA attribute."""
        return dict(attributes(self.attributes[kind]))[uapi.NFTA_DATA_VALUE]

    def verdict(self, kind: int) -> NftVerdict:
        """NFTA_DATA_VERDICT of a nested NFTA_DATA attribute."""
        return decode_verdict(dict(attributes(self.attributes[kind]))[uapi.NFTA_DATA_VERDICT])

    def has(self, kind: int) -> bool:
        return kind in self.attributes

    def word(self, kind: int) -> int:
        """The register that an attribute names, by its first four-byte word: of every four the first has the name of a 16-byte one."""
        register = self.number(kind)
        return register - uapi.NFT_REG32_00 if register >= uapi.NFT_REG32_00 else 4 * (register - uapi.NFT_REG_1)


def decode(expressions: bytes) -> tuple[Expression, ...]:
    """NFTA_RULE_EXPRESSIONS. Raises ValueError, KeyError."""
    return tuple(_expression(payload) for _, payload in attributes(expressions))


def decode_verdict(octets: bytes) -> NftVerdict:
    """What `expressions.verdict_payload` makes."""
    parts = dict(attributes(octets))
    code = int.from_bytes(parts[uapi.NFTA_VERDICT_CODE], signed=True)
    return NftVerdict(code, text_of(parts.get(uapi.NFTA_VERDICT_CHAIN, b"")))


def _expression(octets: bytes) -> Expression:
    parts = dict(attributes(octets))
    return Expression(text_of(parts[uapi.NFTA_EXPR_NAME]), dict(attributes(parts.get(uapi.NFTA_EXPR_DATA, b""))))
