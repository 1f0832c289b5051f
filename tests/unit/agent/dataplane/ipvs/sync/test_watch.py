"""Whether somebody else changed virtual servers or routes of ours."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.support.clock import FakeClock
from tests.support.polling import eventually
from tests.unit.agent.dataplane.nftables.frontends import ip

from proxyconfig_agent.dataplane.ipvs.sync.watch import PERIOD_S, Watch, ours

V4, V6 = ip("10.96.0.10"), ip("fd00:96::10")
LISTING = """\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
UDP  [fd00:0096:0000:0000:0000:0000:0000:0010]:0035 mh persistent 1080000 80000000
  -> [fd00:0244:0001:0000:0000:0000:0000:0011]:14E9      Masq    1      0          0
TCP  C0000201:0050 wlc
  -> 0AF4010C:1F90      Masq    1      0          0
TCP  0A60000A:0050 rr
  -> 0AF4010C:1F90      Masq    1      5          6
""".splitlines()


class Kernel:
    def __init__(self) -> None:
        self.lines, self.routes = list(LISTING), [bytes(V4), bytes(V6)]
        self.reads = 0
        self.clock = FakeClock()
        self.watch = Watch(self._read, self.clock.clock.monotonic)
        self.look()

    def look(self) -> bool:
        """Whether it is disturbed, when what is read now has been compared."""
        self.clock.advance(PERIOD_S)
        before = self.reads
        assert not self.watch.disturbed(lambda: (V4, V6))
        found: list[bool] = []

        def compared() -> bool:
            found.append(self.watch.disturbed(lambda: (V4, V6)))
            return self.reads > before and (found[-1] or len(found) > 1)

        eventually(compared)
        return any(found)

    @contextlib.contextmanager
    def _read(self) -> Iterator[tuple[list[str], list[bytes]]]:
        self.reads += 1
        yield self.lines, self.routes


def test_connections_are_no_change() -> None:
    kernel = Kernel()
    kernel.lines[-1] = "  -> 0AF4010C:1F90      Masq    1      50          60"
    assert not kernel.look()


def test_a_weight_is_a_change() -> None:
    kernel = Kernel()
    kernel.lines[-1] = "  -> 0AF4010C:1F90      Masq    0      5          6"
    assert kernel.look()


def test_a_virtual_server_that_is_gone_is_a_change() -> None:
    kernel = Kernel()
    del kernel.lines[3:5]
    assert kernel.look()


def test_a_route_that_is_gone_is_a_change() -> None:
    kernel = Kernel()
    kernel.routes.pop()
    assert kernel.look()


def test_virtual_servers_of_others_may_change() -> None:
    kernel = Kernel()
    del kernel.lines[5:7]
    assert not kernel.look()


def test_what_we_change_ourselves_is_no_disturbance() -> None:
    kernel = Kernel()
    kernel.watch.changed_by_us()
    del kernel.lines[3:5]
    assert not kernel.look()
    del kernel.lines[-1]
    assert kernel.look()


def test_the_order_of_a_listing_means_nothing() -> None:
    swapped = [*LISTING[:3], *LISTING[7:], *LISTING[3:7]]
    assert sorted(ours(LISTING, (V4, V6))) == sorted(ours(swapped, (V4, V6)))
    kernel = Kernel()
    kernel.lines = swapped
    assert not kernel.look()
    assert len(list(ours(LISTING, (V4, V6)))) == 4
