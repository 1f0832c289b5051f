"""Reading netlink datagrams."""

from __future__ import annotations

import errno
import struct

import pytest
from tests.bench.nftables import messages_in, word_of


def message(kind: int, payload: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(payload), kind, 0, 0, 0) + payload + b"\0" * (-len(payload) % 4)


def test_a_datagram_can_have_many_messages() -> None:
    found = [(kind, bytes(payload)) for kind, _, payload in messages_in(message(0xA06, b"1234") + message(0xA0C, b"5678abcd"))]

    assert found == [(0xA06, b"1234"), (0xA0C, b"5678abcd")]


def test_an_address_is_one_word_wherever_it_stands() -> None:
    payload = b"\0" * 12 + bytes([10, 128, 3, 7]) + struct.pack(">HH", 8080, 0)

    assert word_of("10.128.3.7") in next(view.cast("I").tolist() for _, _, view in messages_in(message(0xA0C, payload)))


def test_a_refusal_is_raised_in_the_kernels_words() -> None:
    with pytest.raises(PermissionError):
        list(messages_in(message(2, struct.pack("=i", -errno.EPERM))))
