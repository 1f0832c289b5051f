"""A network namespace, and a data plane in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.support.netns.namespace import Namespace, namespaces

from proxyconfig_agent.dataplane.nftables.nftables import Nftables


@pytest.fixture
def node() -> Iterator[Namespace]:
    with namespaces("nft") as made:
        yield made["nft"]


@pytest.fixture
def start(node: Namespace) -> Iterator[Callable[[], Nftables]]:
    """Start another data plane in the namespace, as a restarted agent would."""
    started: list[Nftables] = []

    def another() -> Nftables:
        started.append(node.call(Nftables))
        return started[-1]

    yield another
    for dataplane in started:
        dataplane.close()


@pytest.fixture
def dataplane(start: Callable[[], Nftables]) -> Nftables:
    return start()
