"""What tests wait for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from tests.apiserver.objects import CONFIGS, EVENTS, Api, Object, conditions
from tests.support.polling import eventually

T = TypeVar("T")
BUSY_S = 150.0
"""Everything here takes a second or two; a busy machine may take longer."""


def is_ready(api: Api, name: str, nodes: int, within_s: float = BUSY_S) -> Any:
    """The status, once all nodes are ready for the newest generation."""

    def ready() -> Object | None:
        found = api.have(f"{CONFIGS}/{name}")
        status: Object = found.get("status", {})
        fresh = status.get("observedGeneration") == found["metadata"]["generation"]
        ok = fresh and conditions(status)["Ready"]["status"] == "True" and status["nodes"]["ready"] == nodes
        assert ok, status
        return status

    return eventually(ready, within_s=within_s)


def says(api: Api, name: str, condition: str, status: str, reason: str = "", *, within_s: float = BUSY_S) -> Any:
    """The condition of the newest generation, once it is so."""

    def said() -> Object:
        found = api.have(f"{CONFIGS}/{name}")
        told: Object = found.get("status", {})
        assert told.get("observedGeneration") == found["metadata"]["generation"], told
        each = conditions(told)[condition]
        assert each["status"] == status, each
        assert reason in ("", each["reason"]), each
        return each

    return eventually(said, within_s=within_s)


def soon(probe: Callable[[], T], until: Callable[[T], bool] = bool) -> T:
    """What the probe says once it is so."""
    return eventually(probe, within_s=BUSY_S, until=until)


def gone(api: Api, path: str, within_s: float = BUSY_S) -> None:
    eventually(lambda: api.get(path) is None, within_s=within_s)


def happened(api: Api, reason: str) -> list[Object]:
    """The Events with that reason that there are."""
    return [each for each in api.every(EVENTS) if each["reason"] == reason]


def event(api: Api, reason: str, within_s: float = BUSY_S) -> Any:
    """An Event with that reason, once there is one."""
    return eventually(lambda: next((each for each in api.every(EVENTS) if each["reason"] == reason), None), within_s=within_s)
