"""What the real kube-proxy 1.36 had in nftables mode for the Services of a few scenarios, as netlink answered a reader of its tables.

`golden/kube-proxy-nftables.json.gz` has the objects, and for each request its kind, family, payload and answers.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from tests.support.scenarios.objects import Key
from tests.support.scenarios.scenario import Object

from proxyconfig_agent.netlink.nftables.connection import Connection
from proxyconfig_agent.netlink.nftables.messages import Kind

_FILE = Path(__file__).with_name("golden") / "kube-proxy-nftables.json.gz"


class Recorded(Connection):
    """Answers what was asked then, and raises KeyError for anything else."""

    def __init__(self) -> None:
        found = _content()["answers"]
        self._answers = {(kind, family, payload): list(map(bytes.fromhex, answers)) for kind, family, payload, answers in found}

    def get(self, kind: Kind, family: int, payload: bytes) -> bytes | None:
        return next(iter(self.dump(kind, family, payload)), None)

    def dump(self, kind: Kind, family: int, payload: bytes) -> list[bytes]:
        return self._answers[kind.name, family, payload.hex()]


def objects() -> dict[Key, Object]:
    """The Services and EndpointSlices."""
    return {(one["kind"], one["metadata"]["namespace"], one["metadata"]["name"]): one for one in _content()["objects"]}


def _content() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(gzip.decompress(_FILE.read_bytes()))
    return found
