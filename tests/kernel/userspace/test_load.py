"""Many connections at once through the proxy process, and changes of its table meanwhile."""

from __future__ import annotations

import contextlib
import resource
import selectors
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.kernel.userspace.rig import VIPS, Rig, naming, route
from tests.support.netns.programs import ROOT
from tests.support.polling import eventually, patience

from proxyconfig_agent.dataplane.userspace.kernel.proxy_client import ProxyClient
from proxyconfig_agent.ingest.model import Family

pytestmark = pytest.mark.kernel

CONNECTIONS = 5000
CHANGES = 50


@pytest.fixture
def _many_descriptors() -> Iterator[None]:
    """For both ends of all connections in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("_many_descriptors")
def test_five_thousand_connections_are_open_at_once_and_each_one_works(made: Rig, proxy: ProxyClient) -> None:
    proxy.update([route(1, 2)])
    with contextlib.ExitStack() as opened:
        for number in (1, 2):
            opened.enter_context(_reversing(opened.enter_context(made.listening(number))))
        clients = [opened.enter_context(each) for each in made.client.call(_connected, CONNECTIONS)]
        for number, client in enumerate(clients):
            client.sendall(number.to_bytes(4))
        assert [client.recv(4) for client in clients] == [number.to_bytes(4)[::-1] for number in range(CONNECTIONS)]


def test_changes_take_effect_during_a_hot_loop_of_connections(made: Rig, proxy: ProxyClient) -> None:
    proxy.update([route(1)])
    arguments = (sys.executable, "-m", "tests.kernel.userspace.hotloop", VIPS[Family.IPV4].format(1), "80")
    with naming(made.listening(1), b"1"), made.client.spawn(*arguments, cwd=ROOT, stdout=subprocess.PIPE) as loop:
        try:
            assert loop.stdout is not None
            assert loop.stdout.readline() == "hot\n"
            for _ in range(CHANGES):
                proxy.update([route(1, vip=2)])
                proxy.update(drop=[route(1, vip=2).key])
            assert eventually(lambda: proxy.is_running and loop.poll() is None)
        finally:
            loop.kill()


def _connected(count: int) -> list[socket.socket]:
    made = []
    for _ in range(count):
        client = socket.socket()
        client.settimeout(60 * patience())
        client.connect((VIPS[Family.IPV4].format(1), 80))
        made.append(client)
    return made


@contextlib.contextmanager
def _reversing(server: socket.socket) -> Iterator[None]:
    """Every connection is answered, also one that the proxy gave up: it goes to the next endpoint where this one is slow."""
    stop, stopped = socket.socketpair()
    with stop, stopped, ThreadPoolExecutor(1) as pool:
        serving = pool.submit(_reverse, server, stopped)
        try:
            yield
        finally:
            stop.close()
    serving.result()


def _reverse(server: socket.socket, stopped: socket.socket) -> None:
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as opened:
        for each in (server, stopped):
            selector.register(each, selectors.EVENT_READ, each)
        while stopped not in (ready := [key.data for key, _ in selector.select()]):
            for each in ready:
                if each is server:
                    made = opened.enter_context(server.accept()[0])
                    selector.register(made, selectors.EVENT_READ, made)
                else:
                    with contextlib.suppress(ConnectionError):
                        question = each.recv(4)
                        each.sendall(question[::-1])
                        if not question:
                            selector.unregister(each)
