"""The service word: what the rules hand on about a connection, in `meta priority` of its first packet.

    31: tag | 30..14: id of the Service port | 13..0: class (which chain picks), or slot (which endpoint, session affinity only)

`meta priority` survives from rule to rule where registers do not, and belongs to nobody that a node's rules would meet; docs/adr/0003.
"""

from __future__ import annotations

import struct

TAG = 0x80000000
ID_SHIFT = 14
LOW = 0x3FFF
"""The bits of a class or slot."""
HIGH = TAG | 0x7FFFC000
"""The bits of tag and id."""
IDS = 1 << 17
LOCAL_LIST = 32768
"""Where the local list's indices begin in `endpoints` and `sticky-lists`; also the longest list there can be."""

EXTERNAL, EXTERNAL_LOCAL, FIRST_PICK = 1, 2, 3
"""Classes 1 and 2 are the fixed chains `external` and `external-local`; those from 3 on are pick chains. 0 is none."""

_word = struct.Struct("=I")


def word(identity: int, low: int = 0) -> bytes:
    """The octets of a word as keys and values of the maps hold it (host order)."""
    return _word.pack(TAG | identity << ID_SHIFT | low)


def id_in(octets: bytes) -> int:
    return (int(_word.unpack_from(octets)[0]) & ~TAG) >> ID_SHIFT


def low_in(octets: bytes) -> int:
    return int(_word.unpack_from(octets)[0]) & LOW
