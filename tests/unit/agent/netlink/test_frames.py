"""The frames that netlink messages come in."""

from __future__ import annotations

import errno
import struct

import pytest

from proxyconfig_agent.netlink import frames, uapi


def answer(kind: int, number: int | None = None) -> tuple[int, bytes]:
    (message,) = frames.messages(frames.message(kind, 0, b"" if number is None else struct.pack("=i", -number)))
    return message.kind, message.payload


def test_a_dump_that_ends_well_ends() -> None:
    assert frames.is_end(*answer(uapi.NLMSG_DONE, 0))
    assert frames.is_end(*answer(uapi.NLMSG_DONE))
    assert frames.is_end(*answer(uapi.NLMSG_ERROR, 0))
    assert not frames.is_end(*answer(20, errno.ENOMEM))


@pytest.mark.parametrize("kind", [uapi.NLMSG_DONE, uapi.NLMSG_ERROR])
def test_a_dump_that_ends_with_an_error_is_one(kind: int) -> None:
    with pytest.raises(OSError, match="Cannot allocate memory") as raised:
        frames.is_end(*answer(kind, errno.ENOMEM))
    assert raised.value.errno == errno.ENOMEM
