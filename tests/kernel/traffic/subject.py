"""What a traffic test needs of the proxy under test, whichever it is."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from tests.support.scenarios.configs import Config
from tests.support.scenarios.objects import Key
from tests.support.scenarios.scenario import Object


class Running(Protocol):
    """A proxy that runs on the node under test."""

    def apply(self, objects: Mapping[Key, Object]) -> None:
        """Make these, and no others, the Services and EndpointSlices of the cluster; return when the node's kernel has them."""
        ...


class Subject(Protocol):
    """A proxy that can be started with a configuration, on a node that is clean before and afterwards."""

    name: str
    mode: str

    def running(self, config: Config) -> AbstractContextManager[Running]: ...
