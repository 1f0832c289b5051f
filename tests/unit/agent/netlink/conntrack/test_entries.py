"""Entries as Linux 6.1 writes them, and the messages that exchange them."""

from __future__ import annotations

import socket

import pytest

from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.conntrack.entries import Direction, End, Entry, deletion, insertion, parse, question, question_by_answers
from proxyconfig_agent.netlink.conntrack.requests import Kind

CLIENT, SERVICE = End(socket.inet_aton("10.244.0.10"), 40000), End(socket.inet_aton("10.96.0.20"), 80)
POD, NODE = End(socket.inet_aton("10.244.0.11"), 8080), End(socket.inet_aton("10.244.0.1"), 50000)
TCP_STATE = "300004802c0001800500010003000000050002000a000000050003000a000000060004002b000000060005002b000000"
"""Established, with window scaling of 10 in both directions, and flags 0x2b."""
HEADER = "02000000"
ORIGINAL = "3400018014000180080001000af4000a080002000a6000141c000280050001000600000006000200" + "9c4000000600030000500000"
REPLY = "3400028014000180080001000af4000b080002000af4000a1c00028005000100060000000600020" + "01f900000060003009c400000"
STATUS = "080003000000000e"
TIMEOUT, MARK = "0800070000000384", "0800080000004000"
PAYLOAD = bytes.fromhex(HEADER + ORIGINAL + REPLY + STATUS + TIMEOUT + TCP_STATE + MARK)
SCTP_STATE = "200004801c0003800500010004000000080002001111111108000300" + "22222222"


def entry(client: End = CLIENT, service: End = SERVICE, pod: End = POD, seen: End | None = None) -> Entry:
    found = parse(PAYLOAD)
    return found._replace(original=Direction(client, service), reply=Direction(pod, seen or client))


def test_an_entry_has_both_directions_its_status_and_its_state() -> None:
    found = parse(PAYLOAD)
    assert found == Entry(socket.IPPROTO_TCP, Direction(CLIENT, SERVICE), Direction(POD, CLIENT), 0x0E, 3, found.attributes)


def test_an_entry_of_a_protocol_without_ports_has_none() -> None:
    addresses, echo = "14000180080001000af4000a080002000a600014", "0c000280" + "0500010001000000"
    found = parse(bytes.fromhex(HEADER + f"24000180{addresses}{echo}" + f"24000280{addresses}{echo}"))
    assert found.protocol == socket.IPPROTO_ICMP
    assert {end.port for direction in (found.original, found.reply) for end in direction} == {0}


def test_an_entry_is_inserted_with_its_translation_its_state_its_timeout_and_its_mark() -> None:
    kind, payload, flags = insertion(entry())
    untranslated = "3400028014000180080001000a600014080002000af4000a1c000280050001000600000006000200005000000600030" + "09c400000"
    to_pod = "18000d80080001000af4000b0c00038006000100" + "1f900000"
    liberal = TCP_STATE.replace("060004002b00", "060004002bff").replace("060005002b00", "060005002bff")
    assert payload.hex() == ORIGINAL + untranslated + to_pod + TIMEOUT + MARK + STATUS + liberal
    assert (kind, flags) == (Kind.NEW, uapi.NLM_F_CREATE | uapi.NLM_F_EXCL)


def test_what_the_endpoint_sees_as_client_is_a_translation_too() -> None:
    of_source = "1800068008000100" + NODE.address.hex() + "0c00038006000100" + "c3500000"
    assert of_source in insertion(entry(seen=NODE)).payload.hex()
    assert of_source[:4] + "0680" not in insertion(entry()).payload.hex()


def test_an_entry_of_ipv6_is_inserted_with_addresses_of_ipv6() -> None:
    client, service, pod = (End(socket.inet_pton(socket.AF_INET6, text), 1) for text in ("fd00::1", "fd00::2", "fd00::3"))
    assert f"24000d8014000400{pod.address.hex()}0c000380" in insertion(entry(client, service, pod)).payload.hex()


def test_an_association_of_sctp_keeps_its_state_and_its_tags() -> None:
    state = bytes.fromhex(SCTP_STATE)
    sctp = entry()._replace(protocol=socket.IPPROTO_SCTP, attributes={uapi.CTA_PROTOINFO: state[4:]})
    assert insertion(sctp).payload.endswith(state)


def test_an_entry_is_deleted_by_what_the_client_sends() -> None:
    assert deletion(entry()) == (Kind.DELETE, bytes.fromhex(ORIGINAL), 0)


def test_a_zone_is_named_in_both() -> None:
    zone = bytes.fromhex("0600120000070000")
    zoned = parse(PAYLOAD + zone)
    assert all(zone in request.payload for request in (deletion(zoned), insertion(zoned)))


@pytest.mark.parametrize("protocol", [socket.IPPROTO_TCP, socket.IPPROTO_SCTP])
def test_the_kernel_is_asked_for_one_protocol(protocol: int) -> None:
    assert question(protocol).hex() == "0c00198008000100080000001000018" + f"00c00028005000100{protocol:02x}000000"


def test_the_kernel_is_asked_for_those_that_one_port_answers() -> None:
    by_answers = "0c001980080002001800000018000280" + "1400028005000100" + "11000000" + "06000200" + "1f900000"
    assert question_by_answers(socket.IPPROTO_UDP, 8080).hex() == by_answers
