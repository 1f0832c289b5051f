"""What the probe of a mode answers, whatever it asks the kernel for. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from proxyconfig_agent.dataplane.port import LackingError, ProbeResult
from proxyconfig_agent.ingest.model import Family

AVAILABLE = "available"


def probed(mode: str, lacks: Mapping[Family, str], features: Callable[[Family], Iterable[str]] = lambda _: ()) -> ProbeResult:
    """`lacks`: what the kernel lacks for each family that cannot be served; `features`: the names of what a family that can be has.

    Raises LackingError if none can."""
    if len(lacks) == len(Family):
        raise LackingError(mode, "; ".join(lacks.values()))
    served = next(family for family in Family if family not in lacks)
    families = {f"IPv{family.value}": f"missing: {lacks[family]}" if family in lacks else AVAILABLE for family in Family}
    return ProbeResult(families | dict.fromkeys(features(served), AVAILABLE), lacks)
