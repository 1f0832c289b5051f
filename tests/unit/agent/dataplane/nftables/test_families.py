"""A kernel that lacks something for one family serves the other one; a kernel without nf_tables has nothing to be removed."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable

import pytest
from tests.support.simulator.nftables.kernel import SimulatedKernel
from tests.unit.agent.dataplane.nftables.frontends import frontends

from proxyconfig_agent.dataplane.modes import traces
from proxyconfig_agent.dataplane.nftables.mode import SPEC
from proxyconfig_agent.dataplane.nftables.nftables import Nftables
from proxyconfig_agent.dataplane.port import Change, DataplaneError, Settings
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink.nftables.connection import KernelError
from proxyconfig_agent.netlink.nftables.messages import Kind, Message

IPV4, IPV6 = 2, 10
PORTS = [frontends(cluster=("10.244.0.1:80",)), frontends("six", "fd00:96::1", cluster=("[fd00:244::1]:80",))]


class Lacking(SimulatedKernel):
    """Refuses messages as a kernel that lacks what is in them."""

    def __init__(self, lacks: Callable[[Message], bool], number: int = errno.ENOENT) -> None:
        super().__init__()
        self._lacks, self._number = lacks, number

    def commit(self, messages: Iterable[Message], *, keep: bool = True) -> int:
        listed = list(messages)
        for message in listed:
            if self._lacks(message):
                raise KernelError(self._number, message.about)
        return super().commit(listed, keep=keep)


class WithoutNfTables(Lacking):
    """nfnetlink without its subsystem: batches are not supported, requests invalid."""

    def __init__(self) -> None:
        super().__init__(lambda _: True, errno.EOPNOTSUPP)

    def generation(self) -> int:
        raise KernelError(errno.EINVAL, "a get generation request")

    def get(self, kind: Kind, family: int, payload: bytes) -> bytes | None:  # noqa: ARG002 - as a connection has it
        raise KernelError(errno.EINVAL, f"a {kind.name} request")


def lacking(expression: bytes, *families: int) -> Lacking:
    return Lacking(lambda message: message.family in families and b"\0" + expression + b"\0" in message.payload)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        pytest.param(b"fib", r"address types \(Linux 4.10 and later, CONFIG_NFT_FIB_IPV6\)", id="fib"),
        pytest.param(b"reject", r"reject \(Linux 3.14 and later, CONFIG_NFT_REJECT and CONFIG_NFT_REJECT_IPV6\)", id="reject"),
    ],
)
def test_half_of_ipv6_is_named_and_ipv4_is_served(expression: bytes, words: str) -> None:
    kernel = lacking(expression, IPV6)
    dataplane = Nftables(kernel)
    found = dataplane.probe()
    assert list(found.unserved) == [Family.IPV6]
    assert words.replace("\\", "") in found.unserved[Family.IPV6]
    assert "(ENOENT)" in found.unserved[Family.IPV6]
    assert dataplane.resync(Settings(), PORTS).operations > 0
    assert dataplane.apply([Change(PORTS[1], None)]).operations == 0
    assert {family for family, _ in kernel.tables} == {IPV4}


def test_half_of_ipv4_leaves_ipv6() -> None:
    kernel = lacking(b"fib", IPV4)
    dataplane = Nftables(kernel)
    dataplane.resync(Settings(), PORTS)
    assert list(dataplane.probe().unserved) == [Family.IPV4]
    assert {family for family, _ in kernel.tables} == {IPV6}


def test_what_is_lacking_in_both_families_is_an_error_that_names_it_for_both() -> None:
    with pytest.raises(DataplaneError, match=r"CONFIG_NFT_FIB_IPV4\) for IPv4.*CONFIG_NFT_FIB_IPV6\) for IPv6.*choose another mode"):
        Nftables(lacking(b"fib", IPV4, IPV6)).probe()


def test_a_kernel_without_nf_tables_is_named() -> None:
    with pytest.raises(DataplaneError, match=r"the kernel lacks nf_tables \(.*CONFIG_NF_TABLES.*choose another mode"):
        Nftables(WithoutNfTables())


def test_on_a_kernel_without_nf_tables_nothing_of_the_mode_can_be_left(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("modes.traces", "nftables.nftables"):
        monkeypatch.setattr(f"proxyconfig_agent.dataplane.{module}.Connection", WithoutNfTables)
    assert traces.may_be_here("anything")
    assert not list(SPEC.left_behind())
