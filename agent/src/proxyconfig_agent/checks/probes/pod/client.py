"""Asks the probe pod of this node for one round of probes."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from proxyconfig_agent.checks.probes.model import Absent, Answer, Target
from proxyconfig_agent.checks.probes.pod import round as rounds
from proxyconfig_api.objects.names import PROBE_PORT
from proxyconfig_api.objects.nodeproxy import ProbePod
from proxyconfig_api.status.rollout import ProbeResult
from proxyconfig_client.connection.errors import ClientError
from proxyconfig_client.http.client import HttpClient, Timeouts

LONGEST = 1 << 16
"""Of the answers, in bytes."""

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
        answers = await _answers(_url(pod.addresses[0], port), pod.uid, every, timeout_s)
    except (OSError, ClientError, msgspec.MsgspecError) as error:
        late = isinstance(error, TimeoutError) and not error.errno
        why = f"no answer within {timeout_s:g} s" if late else str(error)
        result = ProbeResult.NOT_APPLICABLE if before else ProbeResult.FAILED
        return (Answer(POD, result, f"the probe pod at {pod.addresses[0]} does not answer its agent: {why}"),)
    absent = (Answer(each.name, ProbeResult.NOT_APPLICABLE, each.why) for each in every if isinstance(each, Absent))
    return (Answer(POD, ProbeResult.PASSED), *absent, *answers)


async def _answers(url: str, uid: str, every: Iterable[Target | Absent], timeout_s: float) -> tuple[Answer, ...]:
    """Raises OSError, ClientError, msgspec.MsgspecError."""
    body = rounds.encoded((each for each in every if isinstance(each, Target)), timeout_s)
    timeouts = Timeouts(connect_s=timeout_s, total_s=timeout_s)
    client = HttpClient(url, None, {})
    try:
        async with client.request("POST", f"/{uid}", query={}, headers={}, body=body, timeouts=timeouts) as response:
            answered = await response.read(LONGEST)
    finally:
        await client.close()
    if response.status != 200:
        raise OSError(f"its answer is {response.status} {response.reason}")
    return rounds.answers_decoded(answered)


def _url(address: str, port: int) -> str:
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"
