"""CIDRs as the API writes them."""

from __future__ import annotations

import ipaddress
import re

_SYNTAX = re.compile(r"[0-9a-fA-F:.]+/\d{1,3}")
"""No netmask (10.0.0.0/255.0.0.0) and no scope (fe80::1%eth0/64), which ipaddress would take."""


class Cidr:
    """An IP network of either family. Compares and hashes by value; as text in canonical form."""

    __slots__ = ("network",)

    def __init__(self, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> None:
        self.network = network

    @classmethod
    def parse(cls, text: str) -> Cidr:
        """Parse `10.0.0.0/8` or `fd00::/64`; bits behind the prefix are cleared. Raises ValueError that says what to write."""
        try:
            if _SYNTAX.fullmatch(text):
                return cls(ipaddress.ip_network(text, strict=False))
        except (ValueError, TypeError):
            pass
        raise ValueError(f"must be a CIDR such as 10.0.0.0/8 or fd00::/64, not {text}")

    @property
    def packed(self) -> bytes:
        """The base address in network order, 4 or 16 bytes."""
        return self.network.network_address.packed

    @property
    def prefix(self) -> int:
        """The number of leading bits."""
        return self.network.prefixlen

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cidr) and self.network == other.network

    def __hash__(self) -> int:
        return hash(self.network)

    def __str__(self) -> str:
        return str(self.network)

    def __repr__(self) -> str:
        return f"Cidr({str(self)!r})"


PRIMARY = "primary"


class NodeAddresses:
    """Which addresses of the node serve node ports: the primary one of each family, or those inside of `cidrs`."""

    __slots__ = ("cidrs", "primary")

    def __init__(self, *, primary: bool = False, cidrs: tuple[Cidr, ...] = ()) -> None:
        self.primary, self.cidrs = primary, cidrs

    @classmethod
    def parse(cls, items: list[str]) -> NodeAddresses:
        """Parse `["primary"]` or a list of CIDRs, which is not empty. Raises ValueError that says what to write."""
        if items == [PRIMARY]:
            return cls(primary=True)
        if not isinstance(items, list) or not items:
            raise ValueError('must be ["primary"] or a list of CIDRs; leave it out for the default of the mode')
        if PRIMARY in items:
            raise ValueError('"primary" stands alone: remove it or the CIDRs')
        return cls(cidrs=tuple(Cidr.parse(item) for item in items))

    def of_family(self, version: int) -> tuple[Cidr, ...]:
        """The CIDRs of IPv4 (4) or IPv6 (6)."""
        return tuple(cidr for cidr in self.cidrs if cidr.network.version == version)

    def items(self) -> list[str]:
        """As the API writes it."""
        return [PRIMARY] if self.primary else [str(cidr) for cidr in self.cidrs]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NodeAddresses) and self.items() == other.items()

    def __hash__(self) -> int:
        return hash((self.primary, self.cidrs))

    def __repr__(self) -> str:
        return f"NodeAddresses({self.items()!r})"


ALL_ADDRESSES = NodeAddresses(cidrs=(Cidr.parse("0.0.0.0/0"), Cidr.parse("::/0")))
