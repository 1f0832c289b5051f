"""Asks the probe pod of this node for one round of probes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec

from proxyconfig_agent.checks.probes.model import Absent, Answer, Target
from proxyconfig_agent.checks.probes.pod import round as rounds
from proxyconfig_api.objects.names import PROBE_PORT
from proxyconfig_api.objects.nodeproxy import ProbePod
from proxyconfig_api.status.rollout import ProbeResult

POD = "pod"
"""The name of the answer that tells whether the pod itself answers."""


async def ask(
    pod: ProbePod, targets: Iterable[Target | Absent], timeout_s: float, *, before: bool, port: int = PROBE_PORT
) -> tuple[Answer, ...]:
    """The pod's answers, after one of whether it answers, after `timeout_s` at the latest. Never raises. A pod that does not answer
    `before` the change is not applicable; after it, it has failed."""
    every = tuple(targets)
    if not pod.addresses:
        return (Answer(POD, ProbeResult.NOT_APPLICABLE, pod.message),)
    try:
        async with asyncio.timeout(timeout_s):
            answers = await _answers(pod, port, rounds.encoded((each for each in every if isinstance(each, Target)), timeout_s))
    except (OSError, asyncio.IncompleteReadError, msgspec.MsgspecError) as error:
        late = isinstance(error, TimeoutError) and not error.errno
        why = f"no answer within {timeout_s:g} s" if late else str(error)
        result = ProbeResult.NOT_APPLICABLE if before else ProbeResult.FAILED
        return (Answer(POD, result, f"the probe pod at {pod.addresses[0]} does not answer its agent: {why}"),)
    absent = (Answer(each.name, ProbeResult.NOT_APPLICABLE, each.why) for each in every if isinstance(each, Absent))
    return (Answer(POD, ProbeResult.PASSED), *absent, *answers)


async def _answers(pod: ProbePod, port: int, body: bytes) -> tuple[Answer, ...]:
    """Raises OSError, asyncio.IncompleteReadError, msgspec.MsgspecError."""
    reader, writer = await asyncio.open_connection(pod.addresses[0], port)
    try:
        writer.write(f"POST /{pod.uid} HTTP/1.1\r\nHost: pod\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        head, _, answered = (await _all(reader)).partition(b"\r\n\r\n")
    finally:
        writer.transport.abort()
    if head.split(b" ")[1:2] != [b"200"]:
        raise OSError(f"its answer is {head.splitlines()[0].decode(errors='replace') if head else 'empty'}")
    return rounds.answers_decoded(answered)


async def _all(reader: asyncio.StreamReader) -> bytes:
    """Until the end of the stream, which is the end of the answer."""
    read = bytearray()
    while len(read) < rounds.LIMIT and (chunk := await reader.read(rounds.LIMIT)):
        read += chunk
    return bytes(read)
