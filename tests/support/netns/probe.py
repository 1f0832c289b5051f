"""A client that opens connections and says what became of them, as a process in a namespace or in a pod.

Reads one JSON list of flows per line, asks them all side by side, answers with one JSON list per line: for each flow, how often it
got which answer. An answer is what `echo.py` says (`NAME CLIENT PORT`), or `REJECT`, `DROP`, `ERROR words`. Standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import random
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from tests.support.netns import associations, sctp

REJECT, DROP = "REJECT", "DROP"
NO_SUCH_PROTOCOL = (errno.ENOPROTOOPT, errno.EPROTO)
"""What a host without SCTP answers where nothing redirects the packet (IPv4, IPv6)."""
AT_ONCE = 12
PATIENCE_S = 15 * int(os.environ.get("TESTS_PATIENCE", "1"))
"""How long an answer is waited for, unless the flow says otherwise: a server that has no processor for seconds is not silent, least of all
on a kernel that runs as a process (`polling.PATIENCE`)."""
LATE_S = 60
"""So much longer than `for_s` a flow may take to get its answers."""
_TELL_ERRORS = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}
"""IP_RECVERR and IPV6_RECVERR, with their levels."""
_next_port = threading.Lock()


def ask(flow: Mapping[str, Any]) -> dict[str, int]:
    """Repeat one flow `attempts` times (default 1), or for `for_s` seconds with a pause of `every_s` (default 0); count the answers.

    A DROP is asked again up to `again` times. It stops when `enough` different answers were seen in at least `least` attempts: with
    `for_s` not before that time is over; without it at the first REJECT or DROP, too.
    """
    answers: Counter[str] = Counter()
    ends = time.monotonic() + flow["for_s"] if "for_s" in flow else None
    for attempt in itertools.count(1):
        answer = once(flow)
        if answer == DROP and attempt <= flow.get("again", 0):
            continue
        answers[answer] += 1
        enough = len(answers) >= flow.get("enough", 1) and attempt >= flow.get("least", 1)
        if ends is not None:
            late_s = time.monotonic() - ends
            if late_s >= LATE_S or (late_s >= 0 and enough):
                break
            time.sleep(flow.get("every_s", 0))
            continue
        if enough or attempt >= flow.get("attempts", 1) or answer in (REJECT, DROP):
            break
    return dict(answers)


def once(flow: Mapping[str, Any]) -> str:
    """Open one connection (or send one datagram) and wait for the answer."""
    opener = {"tcp": _tcp, "udp": _udp, "sctp": _association if associations.are_there() else _sctp}[flow.get("protocol", "tcp")]
    try:
        return opener(flow)
    except (ConnectionRefusedError, ConnectionResetError):
        return REJECT
    except TimeoutError:
        return DROP
    except OSError as error:
        if error.errno in NO_SUCH_PROTOCOL:
            return REJECT
        return f"ERROR {error.strerror or error}"


def _tcp(flow: Mapping[str, Any]) -> str:
    with socket.socket(_family(flow), socket.SOCK_STREAM) as sock:
        # RST at the end: no TIME_WAIT, so thousands of flows do not run out of ports.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if flow.get("source_port") or flow.get("source"):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((flow.get("source", ""), flow.get("source_port", 0)))
        return _heard(sock, flow)


def _association(flow: Mapping[str, Any]) -> str:
    own = associations.source(flow["address"], flow["port"])
    with associations.opened(_family(flow)) as sock:
        # Its end is an ABORT as TCP's is a RST, and a refusal by ICMP is reported as one.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.setsockopt(*_TELL_ERRORS[sock.family], 1)
        _bind_fresh(sock, {"source": own, **flow})
        return _heard(sock, flow)


def _heard(sock: socket.socket, flow: Mapping[str, Any]) -> str:
    """Connect, and return the words that the other end says."""
    patience_s = flow.get("patience_s", PATIENCE_S)
    sock.settimeout(patience_s)
    sock.connect((flow["address"], flow["port"]))
    # Kernels alone have connected. The words come from a process, which may have to wait for its turn.
    sock.settimeout(max(patience_s, PATIENCE_S))
    words = sock.recv(256)
    return words.decode() if words else "ERROR closed without a word"


def _udp(flow: Mapping[str, Any]) -> str:
    with socket.socket(_family(flow), socket.SOCK_DGRAM) as sock:
        _bind_fresh(sock, flow)
        sock.settimeout(flow.get("patience_s", PATIENCE_S))
        sock.connect((flow["address"], flow["port"]))
        _send(sock, b"?")
        return sock.recv(256).decode()


def _sctp(flow: Mapping[str, Any]) -> str:
    family = _family(flow)
    with socket.socket(family, socket.SOCK_RAW, sctp.PROTOCOL) as sock:
        if flow.get("source"):
            sock.bind((flow["source"], 0))
        sock.setsockopt(*_TELL_ERRORS[family], 1)
        sock.connect((flow["address"], 0))
        ends = time.monotonic() + flow.get("patience_s", PATIENCE_S)
        own = flow.get("source_port") or _fresh_port()
        packet = sctp.Packet(own, flow["port"], sctp.INIT, 0, random.getrandbits(32) | 1).encode()
        while not _sent(sock, packet):
            _refused(sock)
        while (left := ends - time.monotonic()) > 0:
            sock.settimeout(left)
            try:
                answer = sctp.decode(sock.recv(4096), family)
            except TimeoutError:
                break
            except OSError:
                if own in _refused(sock):
                    raise
                continue
            if answer and answer.port == own and answer.kind != sctp.INIT:
                return answer.words.decode() or REJECT
        raise TimeoutError


def _sent(sock: socket.socket, octets: bytes) -> bool:
    """Whether it could be sent: not while there is an error pending, which is about the packet of another flow."""
    try:
        _send(sock, octets)
    except OSError as error:
        if error.errno not in (errno.ECONNREFUSED, *NO_SUCH_PROTOCOL):
            raise
        return False
    return True


def _refused(sock: socket.socket) -> set[int]:
    """The source ports of the packets that the pending errors are about.

    A raw socket gets every refusal between its two addresses, also of those that other flows got."""
    ports = set()
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            octets = sock.recvmsg(2048, 512, socket.MSG_ERRQUEUE)[0]
            ports.add(int.from_bytes(octets[:2]))
    return ports


def _send(sock: socket.socket, octets: bytes) -> None:
    # A sender on the node itself gets an error when its packet is discarded. Whether with a refusal comes separately.
    with contextlib.suppress(PermissionError):
        sock.send(octets)


def _bind_fresh(sock: socket.socket, flow: Mapping[str, Any]) -> None:
    wanted = flow.get("source_port")
    while True:
        try:
            sock.bind((flow.get("source", ""), wanted or _fresh_port()))
        except OSError:
            if wanted:
                raise
        else:
            return


def _fresh_port() -> int:
    with _next_port:
        return next(_ports())


@cache
def _ports() -> Iterator[int]:
    """Another port for every UDP and SCTP flow: conntrack would send a reused one to the endpoint of before."""
    return itertools.islice(itertools.cycle(range(20000, 60000)), random.randrange(40000), None)


def _family(flow: Mapping[str, Any]) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in flow["address"] else socket.AF_INET


def main(arguments: Sequence[str] = ()) -> None:
    """Serve requests from standard input until it ends."""
    del arguments
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for line in sys.stdin:
            print(json.dumps(list(pool.map(ask, json.loads(line)))), flush=True)


if __name__ == "__main__":
    main()
