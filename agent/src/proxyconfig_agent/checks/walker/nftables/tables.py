"""Tables, chains and sets as nf_tables keeps them, out of what it prints of them. `payload` and `octets` are those attributes."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct, field

from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.frames import attributes, text_of
from proxyconfig_agent.netlink.nftables.decoder import NftVerdict, decode_verdict

_UNKNOWN_OF_SET = frozenset((uapi.NFTA_SET_OBJ_TYPE, uapi.NFTA_SET_EXPR, uapi.NFTA_SET_EXPRESSIONS))
_KNOWN_OF_ELEMENT = frozenset(
    (
        uapi.NFTA_SET_ELEM_KEY,
        uapi.NFTA_SET_ELEM_DATA,
        uapi.NFTA_SET_ELEM_FLAGS,
        uapi.NFTA_SET_ELEM_TIMEOUT,
        uapi.NFTA_SET_ELEM_EXPIRATION,
        uapi.NFTA_SET_ELEM_USERDATA,
        uapi.NFTA_SET_ELEM_KEY_END,
    )
)


class Element(Struct, frozen=True):
    """An element of a set. `octets` are the whole NFTA_LIST_ELEM payload."""

    key: bytes
    octets: bytes
    end: bytes = b""
    """The last key of a range of a concatenation, which has the first as its key."""
    value: bytes = b""
    verdict: NftVerdict | None = None
    ends_interval: bool = False
    """In a set of intervals without concatenation: the first key that the interval before does not have."""


class Set(Struct):
    """Elements that end intervals are kept beside the others: the next interval may begin with the same key."""

    payload: bytes
    flags: int
    key_length: int
    value_length: int
    size: int
    fields: tuple[int, ...]
    elements: dict[bytes, Element] = field(default_factory=dict)
    ends: set[bytes] = field(default_factory=set)
    is_known: bool = True
    """Whether it has nothing but keys, values, verdicts and comments: no objects, no expressions of elements, none for all other keys."""

    def add(self, octets: bytes) -> None:
        """An element as the kernel prints it."""
        kinds = {kind for kind, _ in attributes(octets)}
        if uapi.NFTA_SET_ELEM_KEY not in kinds or not kinds <= _KNOWN_OF_ELEMENT:
            self.is_known = False
            return
        element = element_of(octets)
        if element.ends_interval:
            self.ends.add(element.key)
        else:
            self.elements[element.key] = element

    def find(self, key: bytes) -> Element | None:
        """What a lookup finds, of the set's static elements. Raises ValueError."""
        if not self.is_known:
            raise ValueError("a set with more than keys and values")
        if not self.flags & uapi.NFT_SET_INTERVAL:
            return self.elements.get(key)
        if self.flags & uapi.NFT_SET_CONCAT:
            return next((element for element in self.elements.values() if self._covers(element, key)), None)
        return self._in_interval(key)

    def places(self) -> Iterator[slice]:
        """Where the fields of a concatenation are in a key: each begins at a multiple of four."""
        at = 0
        for length in self.fields or (self.key_length,):
            yield slice(at, at + length)
            at += length + (-length % 4)

    def _covers(self, element: Element, key: bytes) -> bool:
        return all(element.key[at] <= key[at] <= (element.end or element.key)[at] for at in self.places())

    def _in_interval(self, key: bytes) -> Element | None:
        first = max((begin for begin in self.elements if begin <= key), default=None)
        ended = max((end for end in self.ends if end <= key), default=b"")
        return None if first is None or ended > first else self.elements[first]


class Rule(Struct, frozen=True):
    expressions: bytes
    payload: bytes


class Chain(Struct):
    """`kind`, `hook`, `priority` and `policy`, a verdict code, are those of a base chain."""

    payload: bytes
    kind: str = ""
    hook: int | None = None
    priority: int = 0
    policy: int = uapi.NF_ACCEPT
    rules: tuple[Rule, ...] = ()


class Table(Struct):
    """`family` is NFPROTO_IPV4 or NFPROTO_IPV6."""

    payload: bytes
    chains: dict[str, Chain] = field(default_factory=dict)
    sets: dict[str, Set] = field(default_factory=dict)

    @property
    def is_dormant(self) -> bool:
        """No packet meets its chains."""
        flags = dict(attributes(self.payload)).get(uapi.NFTA_TABLE_FLAGS, b"")
        return bool(int.from_bytes(flags) & uapi.NFT_TABLE_F_DORMANT)


def element_of(octets: bytes) -> Element:
    """NFTA_LIST_ELEM of a set. Raises KeyError where it has no key."""
    parts = dict(attributes(octets))
    data = dict(attributes(parts.get(uapi.NFTA_SET_ELEM_DATA, b"")))
    verdict = decode_verdict(data[uapi.NFTA_DATA_VERDICT]) if uapi.NFTA_DATA_VERDICT in data else None
    ends = int.from_bytes(parts.get(uapi.NFTA_SET_ELEM_FLAGS, b"")) & uapi.NFT_SET_ELEM_INTERVAL_END
    end = _value(parts[uapi.NFTA_SET_ELEM_KEY_END]) if uapi.NFTA_SET_ELEM_KEY_END in parts else b""
    key, value = _value(parts[uapi.NFTA_SET_ELEM_KEY]), data.get(uapi.NFTA_DATA_VALUE, b"")
    return Element(key, octets, end, value, verdict, ends_interval=bool(ends))


def set_of(payload: bytes) -> Set:
    """Without elements."""
    parts = dict(attributes(payload))
    description = dict(attributes(parts.get(uapi.NFTA_SET_DESC, b"")))
    fields = attributes(description.get(uapi.NFTA_SET_DESC_CONCAT, b""))
    lengths = tuple(int.from_bytes(dict(attributes(each))[uapi.NFTA_SET_FIELD_LEN]) for _, each in fields)
    kinds = uapi.NFTA_SET_FLAGS, uapi.NFTA_SET_KEY_LEN, uapi.NFTA_SET_DATA_LEN
    flags, key_length, value_length = (int.from_bytes(parts.get(kind, b"")) for kind in kinds)
    size = int.from_bytes(description.get(uapi.NFTA_SET_DESC_SIZE, b""))
    return Set(payload, flags, key_length, value_length, size, lengths, is_known=_UNKNOWN_OF_SET.isdisjoint(parts))


def chain_of(payload: bytes) -> Chain:
    """Without rules."""
    parts = dict(attributes(payload))
    if uapi.NFTA_CHAIN_HOOK not in parts:
        return Chain(payload)
    hook = dict(attributes(parts[uapi.NFTA_CHAIN_HOOK]))
    number, priority = int.from_bytes(hook[uapi.NFTA_HOOK_HOOKNUM]), int.from_bytes(hook[uapi.NFTA_HOOK_PRIORITY], signed=True)
    policy = int.from_bytes(parts.get(uapi.NFTA_CHAIN_POLICY, uapi.NF_ACCEPT.to_bytes(4)))
    return Chain(payload, text_of(parts[uapi.NFTA_CHAIN_TYPE]), number, priority, policy)


def _value(data: bytes) -> bytes:
    return dict(attributes(data))[uapi.NFTA_DATA_VALUE]
