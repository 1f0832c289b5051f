"""The surroundings of a node that the tests of packets share: making them takes such a kernel half a minute."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.kernels.ipvs.packets import Served, served


@pytest.fixture(scope="session")
def world() -> Iterator[Served]:
    """A node on which nothing is programmed: each test takes away what it made."""
    with served() as made:
        yield made
