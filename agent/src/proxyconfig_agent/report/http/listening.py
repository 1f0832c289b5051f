"""Listens for the agent's pages, and reports an address that cannot be listened on."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import Callable

import structlog

from proxyconfig_agent.report.http.bind_address import Bind
from proxyconfig_agent.state.findings import Finding, Topic
from proxyconfig_client.http.server import Routes, Server

RETRY_S = 5.0
"""kube-proxy's interval, too, between attempts to listen."""

_log = structlog.get_logger("http")


async def serve(what: str, bind: Bind, routes: Routes, tell: Callable[[Finding | None], None], retry_s: float = RETRY_S) -> None:
    """Listen until cancelled; while the port is taken, try again every `retry_s` seconds.

    `tell` gets a finding when listening fails, with other words than before, and None once it works."""
    told = None
    while True:
        try:
            server = Server(bind.host, bind.port, routes)
            break
        except OSError as error:
            if (finding := _refusal(what, bind, error)) != told:
                _log.warning("cannot listen", what=what, address=str(bind), error=error.strerror)
                tell(told := finding)
            await asyncio.sleep(retry_s)
    tell(None)
    _log.info("listening", what=what, address=str(bind))
    thread = threading.Thread(target=server.serve_forever, name=what, daemon=True)
    thread.start()
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _refusal(what: str, bind: Bind, error: OSError) -> Finding:
    advice = (
        "another proxy, such as kube-proxy, runs on this node or an earlier agent has not ended: stop it, or give this one another port"
        if error.errno == errno.EADDRINUSE
        else "correct the address in spec.agent"
    )
    reason = "PortTaken" if error.errno == errno.EADDRINUSE else "CannotListen"
    return Finding(Topic.AGENT, reason, f"{what} cannot listen on {bind}: {error.strerror}; {advice}")
