"""A kernel without one IP family, or with half of it, serves the other in iptables mode."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Collection, Iterable

import pytest

from proxyconfig_agent.dataplane.iptables.kernel.change_tracker import LegacyRules
from proxyconfig_agent.dataplane.iptables.tools.binaries import Backend, Tool
from proxyconfig_agent.dataplane.iptables.tools.probe import probe
from proxyconfig_agent.dataplane.iptables.tools.program import LockedError, ToolError
from proxyconfig_agent.dataplane.port import DataplaneError
from proxyconfig_agent.ingest.model import Family


class Kernel(Tool):
    """The tool of a kernel that `lacks` some words of rules."""

    def __init__(self, family: Family, lacks: Collection[str] = (), error: type[ToolError] = ToolError) -> None:
        super().__init__(family, Backend.NFT)
        self._lacks, self._error = lacks, error

    def restore(self, text: Iterable[bytes | bytearray], *, test: bool = False) -> None:
        assert test
        given = b"".join(text).decode()
        for word in self._lacks:
            if word in given:
                raise self._error(f"Extension {word} is not supported, missing kernel module?")


def test_a_family_that_lacks_an_extension_is_told_and_the_other_is_served() -> None:
    found = probe([Kernel(Family.IPV4), Kernel(Family.IPV6, ["addrtype"])], {})
    assert set(found.unserved) == {Family.IPV6}
    assert found.unserved[Family.IPV6].startswith(
        "address types for IPv6 is missing (module xt_addrtype, CONFIG_NETFILTER_XT_MATCH_ADDRTYPE): Extension addrtype"
    )
    assert (found.features["IPv4"], found.features["recent"]) == ("available", "available")
    assert found.features["IPv6"].startswith("missing: address types")


def test_a_family_without_tables_is_told_and_the_other_is_served() -> None:
    found = probe([Kernel(Family.IPV4)], {Family.IPV6: "the kernel has no iptables tables for IPv6"})
    assert found.unserved == {Family.IPV6: "the kernel has no iptables tables for IPv6"}


def test_a_kernel_that_lacks_something_for_both_families_cannot_do_the_mode() -> None:
    with pytest.raises(DataplaneError, match=r"DNAT for IPv4 is missing.*recent for IPv6 is missing.*load the module"):
        probe([Kernel(Family.IPV4, ["DNAT"]), Kernel(Family.IPV6, ["recent"])], {})


def test_a_held_lock_is_no_missing_extension() -> None:
    with pytest.raises(LockedError):
        probe([Kernel(Family.IPV4, ["REJECT"], LockedError)], {})


def test_legacy_tables_are_tracked_where_the_kernel_has_no_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket

    def without_ipv6(family: int, *arguments: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
        return real(family, *arguments)

    monkeypatch.setattr(socket, "socket", without_ipv6)
    rules = LegacyRules([Family.IPV4])
    assert rules.state() == rules.state()
    rules.close()
