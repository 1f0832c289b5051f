"""What a kube-proxy that has ended left on the node, from one look to the next, and what of it an agent removes. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from proxyconfig_agent.node.other_proxies.other_proxies import NOTHING, Seen, finding_of
from proxyconfig_agent.state.findings import Finding
from proxyconfig_api.spec.sections import Mode, Takeover

GONE = 2
"""So many looks in a row, seconds apart, have to see no kube-proxy before it counts as ended: it may have been too busy to answer."""


class Remains(Struct, frozen=True):
    seen: Seen = NOTHING
    """By the last look."""
    misses: int = 0
    """Looks in a row that found no kube-proxy running."""
    tried: bool = False
    """A removal has failed since the last look: the next one waits for another look."""
    unfinished: Seen = NOTHING
    """What the last attempt was to remove, if it failed: half of a rule set may not look like one any more."""
    trouble: str = ""
    """Why it failed."""
    removed: bool = False
    """A removal has succeeded, and no kube-proxy has answered since."""
    kept: tuple[str, ...] = ()
    """What a scan found after it: chains that rules of other programs lead to."""

    @property
    def orphaned(self) -> Seen:
        """What nobody keeps up to date. Nothing where a kube-proxy may run: also where what was removed has come back."""
        if self.misses < GONE or self.tried or self.removed:
            return NOTHING
        return self.seen if self.unfinished == NOTHING else self.unfinished

    @property
    def finding(self) -> Finding | None:
        return finding_of(self.seen, again=self.removed, kept=self.kept, trouble=self.trouble)


def looked(remains: Remains, seen: Seen) -> Remains:
    """After another look."""
    return Remains(seen) if seen.mode else replace(remains, seen=seen, misses=remains.misses + 1, tried=False)


def discarded(remains: Remains, kept: Sequence[str]) -> Remains:
    """After a removal; `kept` by a scan."""
    return replace(remains, unfinished=NOTHING, trouble="", removed=True, kept=tuple(kept))


def failed(remains: Remains, left: Seen, why: str) -> Remains:
    """After a removal of `left` that failed."""
    return replace(remains, tried=True, unfinished=left, trouble=why)


def removable(left: Seen, takeover: Takeover, mode: Mode | None) -> Seen:
    """What of it goes from a node that serves in this mode.

    iptables mode has adopted the chains. Those beside virtual servers of kube-proxy stay with them, until ipvs mode adopts both or
    `kube-proxy --cleanup` has run: connections that these servers have need them."""
    if takeover is Takeover.OBSERVE:
        return NOTHING
    chains = () if mode is Mode.IPTABLES or left.link else left.canaries
    return Seen(tables=left.tables, canaries=chains)
