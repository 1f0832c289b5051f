"""A page that leaves its port to another program, and takes it again."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from functools import partial

import pytest
from tests.support.polling import soon

from proxyconfig_agent.report.http.bind_address import Bind
from proxyconfig_agent.report.http.listening import serve
from proxyconfig_agent.report.http.page import Page
from proxyconfig_client.http.answer import Answer

ROUTES = {"/": lambda: Answer(200, b"here")}


def _free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def listening(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


async def test_the_port_of_a_page_is_free_while_it_is_left() -> None:
    port = _free()
    page, bind = Page(), Bind("127.0.0.1", port)
    running = asyncio.ensure_future(page.run(partial(serve, "a page", bind, ROUTES, lambda _: None, retry_s=0.01)))
    await soon(lambda: listening(port))
    page.leave(free=True)
    await soon(lambda: not listening(port))
    other = await asyncio.start_server(lambda *_: None, "127.0.0.1", port)
    other.close()
    await other.wait_closed()
    page.leave(free=False)
    await soon(lambda: listening(port))
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert not listening(port)


async def test_what_fails_for_good_ends_the_page() -> None:
    async def broken() -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        await Page().run(broken)
