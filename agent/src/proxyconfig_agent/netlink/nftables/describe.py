"""A transaction in nft's words: what its messages do, line by line, to which objects. For logs and tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.frames import attributes, text_of
from proxyconfig_agent.netlink.nftables.messages import Kind, Message
from proxyconfig_agent.netlink.nftables.rule_text import RuleText, verdict_text
from proxyconfig_agent.netlink.nftables.userdata import comment_in

_FAMILIES = {uapi.NFPROTO_IPV4: "ip", uapi.NFPROTO_IPV6: "ip6"}
_HOOKS = ("prerouting", "input", "forward", "output", "postrouting")

Attributes = Mapping[int, bytes]
KeyLengths = Mapping[int, Mapping[str, int]]
"""By family: the bytes of a key of each set that rules may name."""


def describe(messages: Iterable[Message], key_lengths: KeyLengths) -> str:
    """A line for each message. Rules read as `nft -y list` prints them, elements as octets: only nft knows the types of sets."""
    return "".join(f"{_line(message, key_lengths)}\n" for message in messages)


def _line(message: Message, key_lengths: KeyLengths) -> str:
    parts = dict(attributes(message.payload))
    verb, words = _VERBS[message.kind]
    table = f"{_FAMILIES[message.family]} {text_of(parts[uapi.NFTA_TABLE_NAME])}"
    if message.kind is Kind.NEW_RULE:
        rule = RuleText(message.family, key_lengths[message.family]).of(parts[uapi.NFTA_RULE_EXPRESSIONS])
        return f"{verb} {table} {text_of(parts[uapi.NFTA_RULE_CHAIN])} {rule}{_comment(parts.get(uapi.NFTA_RULE_USERDATA, b''))}"
    return " ".join((verb, table, *words(parts)))


def _table(_: Attributes) -> Iterator[str]:
    yield from ()


def _chain(parts: Attributes) -> Iterator[str]:
    yield text_of(parts[uapi.NFTA_CHAIN_NAME])
    if uapi.NFTA_CHAIN_HOOK in parts:
        hook = dict(attributes(parts[uapi.NFTA_CHAIN_HOOK]))
        name = _HOOKS[int.from_bytes(hook[uapi.NFTA_HOOK_HOOKNUM])]
        priority = int.from_bytes(hook[uapi.NFTA_HOOK_PRIORITY], signed=True)
        yield f"{{ type {text_of(parts[uapi.NFTA_CHAIN_TYPE])} hook {name} priority {priority}; policy accept; }}"


def _rules(parts: Attributes) -> Iterator[str]:
    yield text_of(parts[uapi.NFTA_RULE_CHAIN])


def _set(parts: Attributes) -> Iterator[str]:
    yield text_of(parts[uapi.NFTA_SET_NAME])


def _elements(parts: Attributes) -> Iterator[str]:
    yield text_of(parts[uapi.NFTA_SET_ELEM_LIST_SET])
    yield f"{{ {', '.join(_element(payload) for _, payload in attributes(parts[uapi.NFTA_SET_ELEM_LIST_ELEMENTS]))} }}"


def _element(payload: bytes) -> str:
    parts = dict(attributes(payload))
    key, end = (_octets(parts[kind]) if kind in parts else "" for kind in (uapi.NFTA_SET_ELEM_KEY, uapi.NFTA_SET_ELEM_KEY_END))
    value = _data(parts[uapi.NFTA_SET_ELEM_DATA]) if uapi.NFTA_SET_ELEM_DATA in parts else ""
    what = f"0x{key}" + (f"-0x{end}" if end else "") + (f" : {value}" if value else "")
    return what + _comment(parts.get(uapi.NFTA_SET_ELEM_USERDATA, b""))


def _octets(data: bytes) -> str:
    return b"".join(value for _, value in attributes(data)).hex()


def _data(data: bytes) -> str:
    parts = dict(attributes(data))
    return verdict_text(parts[uapi.NFTA_DATA_VERDICT]) if uapi.NFTA_DATA_VERDICT in parts else f"0x{_octets(data)}"


def _comment(userdata: bytes) -> str:
    words = comment_in(userdata)
    return f' comment "{words}"' if words else ""


_VERBS: Mapping[Kind, tuple[str, Callable[[Attributes], Iterator[str]]]] = {
    Kind.NEW_TABLE: ("add table", _table),
    Kind.DELETE_TABLE: ("delete table", _table),
    Kind.NEW_CHAIN: ("add chain", _chain),
    Kind.DELETE_CHAIN: ("delete chain", _chain),
    Kind.NEW_RULE: ("add rule", _rules),
    Kind.DELETE_RULE: ("flush chain", _rules),
    Kind.NEW_SET: ("add set", _set),
    Kind.DELETE_SET: ("delete set", _set),
    Kind.NEW_ELEMENTS: ("add element", _elements),
    Kind.DELETE_ELEMENTS: ("delete element", _elements),
}
