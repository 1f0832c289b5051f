"""The HTTP server of a probe pod: `GET /` tells that it is there, `POST /UID` asks one round of probes.

Only who knows the pod's UID has it ask something: others have to ask from where they are.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable

import msgspec

from proxyconfig_agent.checks.probes.model import Answer, Target
from proxyconfig_agent.checks.probes.pod import round as rounds

REQUEST_S = 5.0
"""The longest time for a request to arrive."""

_HEAD = "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"

Probe = Callable[[tuple[Target, ...], float], Awaitable[tuple[Answer, ...]]]
"""`prober.probe`: never raises."""


class Server:
    def __init__(self, uid: str, probe: Probe) -> None:
        self._path, self._probe = f"/{uid}", probe

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, and close the connection."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(REQUEST_S):
                method, path, body = await _request(reader)
            status, answered = await self._answered(method, path, body)
            writer.write(_HEAD.format(status=status, length=len(answered)).encode() + answered)
            await writer.drain()
        writer.close()

    async def _answered(self, method: str, path: str, body: bytes) -> tuple[str, bytes]:
        if (method, path) == ("GET", "/"):
            return "200 OK", b""
        if method != "POST" or not secrets.compare_digest(path.encode(), self._path.encode()):
            return "404 Not Found", b""
        try:
            asked = rounds.decoded(body)
        except msgspec.MsgspecError as error:
            return "400 Bad Request", msgspec.json.encode(str(error))
        return "200 OK", rounds.answers_encoded(await self._probe(asked.targets, asked.timeout_s))


async def _request(reader: asyncio.StreamReader) -> tuple[str, str, bytes]:
    """Method, path and body; those of a request that is none are empty. Raises OSError and asyncio's errors of streams."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    length = headers.get("content-length", "0")
    if len(words) != 3 or not length.isdecimal() or int(length) > rounds.LIMIT:
        return "", "", b""
    return words[0], words[1], await reader.readexactly(int(length))
