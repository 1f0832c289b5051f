"""What a transaction of this mode does, in nft's words: to read it in a debugger, a log or a test. No other module imports it."""

from __future__ import annotations

from collections.abc import Iterable

from proxyconfig_agent.dataplane.tables.model.ruleset import NFPROTO
from proxyconfig_agent.dataplane.userspace.model.maps import containers
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink.nftables.describe import describe as described
from proxyconfig_agent.netlink.nftables.messages import Message


def describe(messages: Iterable[Message]) -> str:
    """A line for each message, as `nft` would take it; elements as octets."""
    key_lengths = {NFPROTO[family]: {name: each.key_length for name, each in containers(family).items()} for family in Family}
    return described(messages, key_lengths)
