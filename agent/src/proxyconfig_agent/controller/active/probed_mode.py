"""A mode that works on this node, with what it found in the kernel."""

from __future__ import annotations

from msgspec import Struct

from proxyconfig_agent.dataplane.port import Installed, ProbeResult
from proxyconfig_api.spec.sections import Mode


class ProbedMode(Struct, frozen=True):
    mode: Mode
    installed: Installed
    found: ProbeResult

    def close(self) -> None:
        """What is in the kernel stays."""
        self.installed.lifecycle.close()
