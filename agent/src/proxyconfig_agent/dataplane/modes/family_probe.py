"""A family that the kernel lacks something for is probed again at each full resync: a module may have been loaded meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import structlog
from msgspec.structs import replace

from proxyconfig_agent.dataplane.port import Change, DataplaneError, ModeInstance, Outcome, ProbeResult, Settings
from proxyconfig_agent.select.frontends import Frontends

_log = structlog.get_logger("probe")


class FamilyProbe:
    """A mode, with that."""

    def __init__(self, mode: ModeInstance) -> None:
        self._mode = mode
        self._found = ProbeResult({})

    def probe(self) -> ProbeResult:
        self._found = self._mode.probe()
        return self._found

    def resync(self, settings: Settings, wanted: Iterable[Frontends]) -> Outcome:
        probed = self._again() if self._found.unserved else None
        return replace(self._mode.resync(settings, wanted), probed=probed)

    def apply(self, changes: Iterable[Change]) -> Outcome:
        return self._mode.apply(changes)

    def is_slow(self, changes: Sequence[Change]) -> bool:
        return self._mode.is_slow(changes)

    def disturbed(self) -> bool:
        return self._mode.disturbed()

    def remove(self) -> None:
        self._mode.remove()

    def disarm(self) -> bool:
        return self._mode.disarm()

    def arm(self) -> None:
        self._mode.arm()

    def retire(self, drain_s: float) -> bool:
        return self._mode.retire(drain_s)

    def scan(self) -> list[str]:
        return self._mode.scan()

    def close(self) -> None:
        self._mode.close()

    def _again(self) -> ProbeResult:
        """As before if the probe fails: the mode serves what it served."""
        try:
            return self.probe()
        except (DataplaneError, OSError) as error:
            _log.warning("families not probed again", error=str(error))
            return self._found
