"""Commands and answers of IPVS, byte by byte: Linux 6.1 took these commands, and gave these answers, on a little-endian machine."""

from __future__ import annotations

import errno
import socket

import pytest

from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.frames import attribute, nested
from proxyconfig_agent.netlink.ipvs import messages
from proxyconfig_agent.netlink.ipvs.batches import SIZE, answers, batches, encode
from proxyconfig_agent.netlink.ipvs.messages import Command, Destination, Kind, Scheduling, Timeouts, VirtualServer

FAMILY = 0x14
TAG = 0x50580000
V4 = VirtualServer(socket.IPPROTO_TCP, socket.inet_aton("10.96.0.10"), 80)
V6 = VirtualServer(socket.IPPROTO_UDP, socket.inet_pton(socket.AF_INET6, "fd00:96::10"), 53)
POD4 = Destination(socket.inet_aton("10.244.1.11"), 8080)
POD6 = Destination(socket.inet_pton(socket.AF_INET6, "fd00:244:1::11"), 5353)
AFFINITY = Scheduling("mh", TAG | uapi.IP_VS_SVC_F_PERSISTENT | uapi.IP_VS_SVC_F_SCHED2, 10800)
V4_KEY = "06000100020000000600020006000000140003000a60000a00000000000000000000000006000400 00500000"
POD4_KEY = "140001000af4010b000000000000000000000000060002001f90000006000b0002000000"

TAKEN = {
    "a virtual server": (
        messages.new_service(V4, Scheduling("rr", TAG)),
        (f"68000000140001000100000000000000 01010000 54000180 {V4_KEY}"
        "07000600727200000c00070000005850ffffffff080008000000000008000900ffffffff"),
    ),
    "a virtual server of IPv6 with affinity": (
        messages.new_service(V6, AFFINITY),
        ("68000000140001000100000000000000 01010000 54000180"
        "060001000a000000060002001100000014000300fd000096000000000000000000000010 0600040000350000"
        "070006006d6800000c00070011005850ffffffff08000800302a00000800090080000000"),
    ),
    "a destination": (
        messages.new_destination(V4, POD4, 1),
        (f"8c000000140001000100000000000000 05010000 30000180 {V4_KEY} 48000280 {POD4_KEY}"
        "08000300000000000800040001000000 08000500000000000800060000000000"),
    ),
    "a destination of IPv6 that drains": (
        messages.new_destination(V6, POD6, 0),
        ("8c000000140001000100000000000000 05010000 30000180"
        "060001000a000000060002001100000014000300fd000096000000000000000000000010 0600040000350000"
        "48000280 14000100fd000244000100000000000000000011 0600020014e90000 06000b000a000000"
        "08000300000000000800040000000000 08000500000000000800060000000000"),
    ),
    "the end of a destination": (
        messages.delete_destination(V4, POD4),
        f"6c000000140001000100000000000000 07010000 30000180 {V4_KEY} 28000280 {POD4_KEY}",
    ),
    "the end of a virtual server": (
        messages.delete_service(V4),
        f"44000000140001000100000000000000 03010000 30000180 {V4_KEY}",
    ),
    "timeouts": (
        messages.set_timeouts(Timeouts(udp_s=77)),
        "2c000000140001000100000000000000 0c010000 080004000000000008000500000000000800060 04d000000",
    ),
}  # fmt: skip
STATISTICS = nested(10, attribute(1, b"\0" * 8)).hex()


@pytest.mark.parametrize(("command", "taken"), TAKEN.values(), ids=TAKEN)
def test_a_command_is_what_the_kernel_takes(command: Command, taken: str) -> None:
    sent = encode(FAMILY, [command])
    flags = 6
    assert sent[flags] == uapi.NLM_F_REQUEST | uapi.NLM_F_ACK
    assert (sent[:flags] + bytes([uapi.NLM_F_REQUEST]) + sent[flags + 1 :]).hex() == taken.replace(" ", "")


def test_a_change_of_a_virtual_server_or_a_destination_says_everything_again() -> None:
    assert messages.set_service(V6, AFFINITY) == Command(Kind.SET_SERVICE, messages.new_service(V6, AFFINITY).payload)
    assert messages.set_destination(V6, POD6, 3) == Command(Kind.SET_DESTINATION, messages.new_destination(V6, POD6, 3).payload)


def test_a_virtual_server_is_read_with_all_its_flags_but_the_one_that_the_kernel_sets() -> None:
    listed = (
        "0101000054010100060001000a000000060002001100000014000300fd0000960000000000000000000000100600040000350000"
        "070006006d6800000c00070013005850ffffffff08000800302a00000800090080000000"
    )
    head, attributes = listed[:8], listed[16:]
    listed = head + nested(1, bytes.fromhex(attributes + STATISTICS)).hex()
    assert messages.listed_service(bytes.fromhex(listed)) == (V6, AFFINITY)


def test_a_firewall_mark_service_has_no_address_and_is_left_out() -> None:
    of_a_mark = nested(1, bytes.fromhex("060001000200000008000500070000000700060072720000"))
    assert messages.listed_service(bytes.fromhex("01010000") + of_a_mark) is None


def test_timeouts_are_read() -> None:
    read = messages.listed_timeouts(bytes.fromhex("0c01000008000400840300000800050078000000080006002c010000"))
    assert read == Timeouts(tcp_s=900, tcp_fin_s=120, udp_s=300)


def test_answers_say_which_command_the_kernel_refused_and_why() -> None:
    received = "2400000002000001010000002d000000fdffffff44000000140001000100000000000000"
    last = "2400000002000001020000002d0000000000000044000000140005000200000000000000"
    assert list(answers(bytes.fromhex(received + last))) == [(1, errno.ESRCH), (2, 0)]


def test_only_the_last_command_of_a_batch_asks_for_an_acknowledgement() -> None:
    command = messages.delete_service(V4)
    sent = encode(FAMILY, [command] * 3)
    length = len(sent) // 3
    assert [sent[at + 6] for at in range(0, len(sent), length)] == [1, 1, uapi.NLM_F_REQUEST | uapi.NLM_F_ACK]
    assert [sent[at + 8] for at in range(0, len(sent), length)] == [1, 2, 3]


def test_batches_hold_all_commands_in_their_order_and_none_is_larger_than_a_send() -> None:
    commands = [messages.new_destination(V4, Destination(POD4.address, port), 1) for port in range(1, 1001)]
    cut = list(batches(commands))
    assert [command for batch in cut for command in batch] == commands
    assert max(len(encode(FAMILY, batch)) for batch in cut) <= SIZE
    assert min(len(encode(FAMILY, batch)) for batch in cut[:-1]) > SIZE - 200
    assert list(batches([])) == []
