"""One change of the mode under traffic, and what has to come of it whichever modes they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from tests.kernel.mode_changes import remains
from tests.kernel.mode_changes.stage import KINDS, Stage
from tests.support.netns.flows import Told
from tests.support.polling import eventually

ENOUGH = 25
LASTING = ("ipvs", "userspace")
"""Modes of which there is something for as long as the connections that were made in them."""


def changed(stage: Stage, old: str, new: str, record: Callable[[str, object], None]) -> None:
    """Go from the old mode to the new one under traffic. Raises AssertionError if anything is lost or left.

    `record` takes the numbers, by name."""
    if stage.agent.mode != old:
        before = stage.agent.mode
        stage.agent.change(old)
        stage.await_end_of(before)
    told: list[Told] = []
    with stage.traffic(told):
        stage.agent.change(new)
    for name, count in counts(told):
        record(name, count)
    broken = [flow for flow in told if len(flow.lost) > _lost_at_most(flow, old) or not flow.kept]
    assert not broken, broken
    assert all(flow.sent > ENOUGH for flow in told)
    began_s = time.monotonic()
    stage.await_end_of(old)
    after_s = round(time.monotonic() - began_s)
    record("left", f"nothing, {f'{after_s} s after their end' if old in LASTING else 'at once'}")
    assert remains.of_mode(stage.node, new)
    expected = {**stage.before, **(remains.OF_IPVS if new == "ipvs" else {})}
    eventually(lambda: remains.sysctls(stage.node), until=expected.__eq__)
    assert stage.agent.serves_in() == new


def counts(told: Sequence[Told]) -> Iterator[tuple[str, int]]:
    """What was sent, lost and kept, by kind of flow."""
    for kind in KINDS:
        flows = [flow for flow in told if flow.kind == kind]
        yield f"{kind} sent", sum(flow.sent for flow in flows)
        yield f"{kind} lost", sum(len(flow.lost) for flow in flows)
    yield "connections kept", [flow.kept for flow in told if flow.kind == "connection"].count(True)


def _lost_at_most(flow: Told, old: str) -> int:
    """The proxy of userspace mode cannot answer a client that the kernel leads elsewhere by then."""
    return 1 if old == "userspace" and flow.kind == "datagrams" else 0
