"""A node with the proxy process, and its neighbours, for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.kernel.userspace.rig import Rig, proxying, rig

from proxyconfig_agent.dataplane.userspace.kernel.proxy_client import ProxyClient


@pytest.fixture(scope="module")
def made() -> Iterator[Rig]:
    with rig() as made:
        yield made


@pytest.fixture
def proxy(made: Rig) -> Iterator[ProxyClient]:
    with proxying(made) as proxy:
        yield proxy
