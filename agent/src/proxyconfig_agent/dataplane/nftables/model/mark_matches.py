"""What rules do with the service word, as concatenated expressions."""

from __future__ import annotations

from proxyconfig_agent.dataplane.nftables.model.service_mark import HIGH, LOW
from proxyconfig_agent.netlink.nftables import expressions as x
from proxyconfig_agent.netlink.nftables.expressions import Meta, Verdict


def identity(to: int = 0) -> bytes:
    """Tag and id of the service word into a register."""
    return x.meta(Meta.PRIORITY, to) + x.masked(to, HIGH)


def low() -> bytes:
    """The class or slot in the service word into register 0."""
    return x.meta(Meta.PRIORITY, 0) + x.masked(0, LOW)


def classify(services: str) -> bytes:
    """Look the key in the registers up, and go on with the word that is found."""
    return x.lookup(services, 0, 0) + x.set_meta(Meta.PRIORITY, 0) + x.verdict(Verdict.GOTO, "class")


def list_of(lists: str) -> bytes:
    """Go on with the class of one of the Service port's lists."""
    return identity() + x.lookup(lists, 0, 0) + x.set_meta(Meta.PRIORITY, 0) + x.verdict(Verdict.GOTO, "pick")
