"""One DNS query and what an answer to it must be (RFC 1035). Pure.

The name of the DNS Service's own address is asked for (PTR): that needs to know no cluster domain, and is answered by the cluster's DNS
itself.
"""

from __future__ import annotations

import struct

from proxyconfig_agent.ingest.model import Address

_HEADER = struct.Struct(">6H")
_RECURSION_DESIRED, _RESPONSE, _CODE = 0x0100, 0x8000, 0x000F
_PTR, _INTERNET = 12, 1
_ANSWERED = (0, 3)
"""NOERROR and NXDOMAIN: the server looked, whether or not it serves reverse zones."""


def query(number: int, address: Address) -> bytes:
    """Ask for the name of an address; `number` (16 bits) distinguishes this query's answer from others."""
    question = b"".join(bytes((len(label),)) + label.encode() for label in _labels(address))
    return _HEADER.pack(number, _RECURSION_DESIRED, 1, 0, 0, 0) + question + b"\0" + struct.pack(">2H", _PTR, _INTERNET)


def trouble(number: int, answer: bytes) -> str | None:
    """What is wrong with an answer to the query of this number; empty: nothing. None: it is no answer to it."""
    if len(answer) < _HEADER.size:
        return None
    found, flags, *_ = _HEADER.unpack_from(answer)
    if found != number or not flags & _RESPONSE:
        return None
    code = flags & _CODE
    return "" if code in _ANSWERED else f"the DNS server answers with error {code}"


def _labels(address: Address) -> list[str]:
    if len(address) == 4:
        return [*(str(octet) for octet in reversed(address)), "in-addr", "arpa"]
    return [*reversed(address.hex()), "ip6", "arpa"]
