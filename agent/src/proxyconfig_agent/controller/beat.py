"""What the controller does once a second, whether anything happens or not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NoReturn

from proxyconfig_agent.controller.active.active_mode import ActiveMode
from proxyconfig_agent.controller.change.transaction import Transaction
from proxyconfig_agent.report.recorder import StatusRecorder
from proxyconfig_agent.report.watches import Watches
from proxyconfig_agent.state.findings import Source

BEAT_S = 1.0


async def beat(
    recorder: StatusRecorder, transaction: Transaction, watches: Watches, active: ActiveMode, changed: Callable[[], None]
) -> NoReturn:
    """Until cancelled; `changed` is called when the active mode is alone on the node, or is not any more."""
    alone = False
    while True:
        recorder.beat()
        transaction.beat()
        recorder.set_findings(Source.WATCHES, *watches.findings())
        if alone is not (alone := active.alone):
            changed()
        await asyncio.sleep(BEAT_S)
