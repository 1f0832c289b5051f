"""What a probe pod answers: to `GET /` that it is there, to `POST /UID` one round of probes.

Only who knows the pod's UID has it ask something: others have to ask from where they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import msgspec

from proxyconfig_agent.checks.probes.model import Answer as ProbeAnswer
from proxyconfig_agent.checks.probes.model import Target
from proxyconfig_agent.checks.probes.pod import round as rounds
from proxyconfig_client.http.answer import Answer
from proxyconfig_client.http.server import Server

Probe = Callable[[tuple[Target, ...], float], Coroutine[Any, Any, tuple[ProbeAnswer, ...]]]
"""`prober.probe`: never raises."""


def server(uid: str, probe: Probe, host: str, port: int) -> Server:
    """Listens. Raises OSError when it cannot."""
    return Server(host, port, {"/": lambda: Answer(200, b"")}, {f"/{uid}": partial(_round, probe)})


def _round(probe: Probe, body: bytes) -> Answer:
    """Each has a thread and an event loop."""
    try:
        asked = rounds.decoded(body)
    except msgspec.MsgspecError as error:
        return Answer(400, msgspec.json.encode(str(error)))
    return Answer(200, rounds.answers_encoded(asyncio.run(probe(asked.targets, asked.timeout_s))))
