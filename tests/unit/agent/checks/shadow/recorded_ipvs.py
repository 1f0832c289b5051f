"""What the real kube-proxy 1.36 had in ipvs mode on Linux 6.1 for the Services of some scenarios, as the kernel answered a reader of it.

`golden/kube-proxy-ipvs.json.gz` has the objects, the rules by family, and each question with its answers. `tests.kernels.shadow.recording`
prints it.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.scenarios.objects import Key
from tests.support.scenarios.scenario import Object

from proxyconfig_agent.checks.shadow.iptables import Chains, saved
from proxyconfig_agent.checks.shadow.ipvs_reader import Sources
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink import ipset, localroutes
from proxyconfig_agent.netlink.ipvs import connection as ipvs
from proxyconfig_agent.netlink.ipvs import listing
from proxyconfig_agent.netlink.ipvs.messages import Destination, Load, VirtualServer

_FILE = Path(__file__).with_name("golden") / "kube-proxy-ipvs.json.gz"


def objects() -> dict[Key, Object]:
    """The Services and EndpointSlices."""
    return {(one["kind"], one["metadata"]["namespace"], one["metadata"]["name"]): one for one in _content()["objects"]}


def chains() -> dict[Family, Chains]:
    return {family: saved(_content()["chains"][family.name]) for family in Family}


def sources() -> Sources:
    """They answer what was asked then, and raise KeyError for anything else."""
    return Sources(_Sets(), _Servers(), _Routes(), _content()["link"])


class _Sets(ipset.Connection):
    def __init__(self) -> None:
        pass

    def _exchange(self, command: int, flags: int, request: bytes) -> Iterator[bytes]:
        return _answers("sets", f"{command} {flags} {request.hex()}")


class _Servers(ipvs.Connection):
    def __init__(self) -> None:
        pass

    def loads(self) -> Mapping[VirtualServer, dict[Destination, Load]]:
        return listing.parse(_content()["listing"].splitlines())

    def _exchange(self, command: int, flags: int, question: bytes = b"") -> Iterator[bytes]:
        return _answers("servers", f"{command} {flags} {question.hex()}")


class _Routes(localroutes.Connection):
    def __init__(self) -> None:
        pass

    def _dump(self, family: int, protocol: int = localroutes.PROTOCOL) -> Iterator[bytes]:
        return _answers("routes", f"{family} {protocol}")


def _answers(source: str, question: str) -> Iterator[bytes]:
    return map(bytes.fromhex, _content()[source][question])


@cache
def _content() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(gzip.decompress(_FILE.read_bytes()))
    return found
