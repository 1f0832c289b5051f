"""What is asked through the data path of this node, and what came of it."""

from __future__ import annotations

import enum

from msgspec import Struct

from proxyconfig_agent.ingest.model import Address, Family, family_of, text_of
from proxyconfig_api.status.rollout import ProbeResult


class Kind(enum.Enum):
    """How it is asked, as messages name it."""

    TCP = "TCP"
    HTTP = "HTTP"
    UDP = "UDP"
    DNS_UDP = "DNS over UDP"
    DNS_TCP = "DNS over TCP"


class Target(Struct, frozen=True):
    """One address that is asked in one way. `name` as in `ProbeStatus`; both families of a Service have the same."""

    name: str
    kind: Kind
    address: Address
    port: int
    path: str = ""
    """Of an HTTP request, with the slash that it begins with."""

    @property
    def endpoint(self) -> str:
        """Address and port as a URL has them."""
        host = text_of(self.address)
        return f"{host}:{self.port}" if self.family is Family.IPV4 else f"[{host}]:{self.port}"

    @property
    def family(self) -> Family:
        return family_of(self.address)

    def __str__(self) -> str:
        return f"{self.kind.value} {self.endpoint}{self.path}"


class Absent(Struct, frozen=True):
    """A probe that cannot be asked on this node now, and why."""

    name: str
    why: str


class Answer(Struct, frozen=True):
    """The result for one target; `message` is one sentence, empty for what passed. `family` None: of what is absent, or of neither."""

    name: str
    result: ProbeResult
    message: str = ""
    family: Family | None = None
