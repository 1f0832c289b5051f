"""A change of the mode whose probe is cut while the change is held, and what has to come of it whichever modes they are."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from tests.kernel.mode_changes import remains
from tests.kernel.mode_changes.changes import counts
from tests.kernel.mode_changes.stage import CLUSTER_IPS, WORD, Stage
from tests.support.netns.flows import Told
from tests.support.polling import eventually

PROBES = {"apiServer": False, "dns": False, "services": [{"namespace": "default", "name": "web", "port": WORD}]}
CAREFUL = {"probes": PROBES, "holdPeriod": "5m"}
BREAKER = f"""
table inet breaker {{
    chain output {{
        type filter hook output priority -150
        ip daddr {CLUSTER_IPS[0]} tcp dport {WORD} drop
    }}
}}
"""
"""What the node's own processes send to the Service's IPv4 address is lost: none of the clients does that, but the probe does. Before any
translation: IPVS sends on at output, too, what it has translated of a pod's."""


@contextlib.contextmanager
def cut(made: Stage) -> Iterator[None]:
    made.node.run("nft", "-f", "-", stdin=BREAKER)
    try:
        yield
    finally:
        made.node.run("nft", "delete", "table", "inet", "breaker")


def timed(made: Stage, old: str, record: Callable[[str, object], None]) -> None:
    """Record how long it takes from now until the node serves in the old mode again."""
    began_s = time.monotonic()
    eventually(made.agent.serves_in, until=old.__eq__)
    record("back after", f"{time.monotonic() - began_s:.1f} s")


def gone_back(made: Stage, old: str, new: str, meanwhile: Callable[[], object], record: Callable[[str, object], None]) -> None:
    """Change to the new mode, break the probe's path while it is held, and see the old one back; nothing is lost or left.

    The clients' last requests are sent while the path is still broken, which concerns none of them."""
    made.begin_in(old)
    told: list[Told] = []
    with contextlib.ExitStack() as broken, made.traffic(told):
        made.agent.begin(new, **CAREFUL)
        made.agent.await_phase("Holding")
        broken.enter_context(cut(made))
        meanwhile()
        back = made.agent.await_phase("RolledBack")
    for name, count in counts(told):
        record(name, count)
    assert "default/web:80/TCP: TCP 10.96.0.100:80: no answer" in back["message"]
    assert made.agent.serves_in() == old
    assert remains.of_mode(made.node, old)
    made.await_end_of(new)
    # A datagram that the proxy of userspace mode has is lost when the kernel leads its flow elsewhere.
    spared = 1 if "userspace" in (old, new) else 0
    wrong = [flow for flow in told if len(flow.lost) > (spared if flow.kind == "datagrams" else 0) or not flow.kept]
    assert not wrong, wrong
