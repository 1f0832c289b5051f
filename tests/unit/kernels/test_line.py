"""Frames over a line come out as they went in, in both directions, and never more at a time than the other end has room for."""

from __future__ import annotations

import io
import os
import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.kernels.line import LONGEST, WINDOW, Carrier, begin, frames, packed

FRAMES = st.lists(st.binary(min_size=1, max_size=200) | st.just(b"\xff" * LONGEST), max_size=8)


@given(FRAMES)
def test_frames_are_told_apart(sent: list[bytes]) -> None:
    line = io.BufferedReader(io.BytesIO(b"".join(map(packed, sent))))
    assert list(frames(line)) == sent


@pytest.fixture
def carried() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The other ends of a device, as a tap is one (each read gives one frame, each write is one), and of its line."""
    near, device = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    far, line = socket.socketpair()
    with near, device, far, line:
        carrying = threading.Thread(target=Carrier(device.fileno(), line.fileno()).run)
        carrying.start()
        yield near, far
        far.shutdown(socket.SHUT_RDWR)
        carrying.join(timeout=60)
        assert not carrying.is_alive()


def test_frames_go_both_ways_however_the_line_cuts_them(carried: tuple[socket.socket, socket.socket]) -> None:
    device, line = carried
    device.send(b"to the line")
    assert next(frames(line.makefile("rb"))) == b"to the line"
    for octet in packed(b"to the device") + packed(b"and another"):
        line.send(bytes([octet]))
    assert [device.recv(LONGEST) for _ in range(2)] == [b"to the device", b"and another"]


def test_no_more_frames_are_on_their_way_than_the_other_end_has_room_for(carried: tuple[socket.socket, socket.socket]) -> None:
    device, line = carried
    sent = [bytes([number]) * LONGEST for number in range(2 * WINDOW)]
    for frame in sent:
        device.send(frame)
    arriving = frames(line.makefile("rb"))
    assert [next(arriving) for _ in range(WINDOW)] == sent[:WINDOW]
    # What is acknowledged next would come behind a frame that was not.
    line.send(packed(b"answer me"))
    assert next(arriving) == b""
    line.send(packed(b"") * WINDOW)
    assert [next(arriving) for _ in range(WINDOW)] == sent[WINDOW:]


def test_both_ends_begin_when_the_terminal_passes_octets_as_they_are() -> None:
    socket_end, terminal = os.openpty()
    begin(terminal)
    os.write(socket_end, b"\x03\x04\r\xff")
    assert os.read(terminal, 10) == b"\x03\x04\r\xff"
    near, far = socket.socketpair()
    with near, far:
        near.send(os.read(socket_end, 10) + b"first")
        begin(far.fileno())
        assert far.recv(10) == b"first"
    for end in (socket_end, terminal):
        os.close(end)
