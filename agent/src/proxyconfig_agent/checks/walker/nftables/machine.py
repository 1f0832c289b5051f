"""What one packet has while rules are executed: registers, headers, and what lookups find. As net/netfilter/nf_tables_core.c does it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

from proxyconfig_agent.checks.walker.nftables.tables import Table
from proxyconfig_agent.checks.walker.path import Passage
from proxyconfig_agent.netlink.nftables.decoder import NftVerdict


class Machine:
    """One packet in one base chain. Each has a new machine, so registers begin empty."""

    def __init__(self, table: Table, passage: Passage) -> None:
        self.table = table
        self.passage = passage
        self.packet = passage.packet
        self._headers: tuple[bytes, bytes] | None = None
        self._registers = bytearray(64)
        self._written = 0
        """A bit for each of their words."""

    @property
    def headers(self) -> tuple[bytes, bytes]:
        """Of the network and the transport layer, as they are until the packet is translated, which ends the chain."""
        if self._headers is None:
            self._headers = self.packet.network_header, self.packet.transport_header
        return self._headers

    def load(self, word: int, length: int) -> bytes:
        """Raises ValueError where nothing was stored."""
        needed = _bits(word, length)
        if self._written & needed != needed:
            raise ValueError(f"word {word} of the registers is read before anything is in it")
        return bytes(self._registers[4 * word : 4 * word + length])

    def store(self, word: int, octets: bytes) -> None:
        length = len(octets)
        padded = octets if length % 4 == 0 else octets + bytes(-length % 4)
        self._registers[4 * word : 4 * word + len(padded)] = padded
        self._written |= _bits(word, length)

    def find(self, name: str, word: int) -> bytes | NftVerdict | None:
        """What a set has for the key in the registers: a value or a verdict; what is remembered stands beside its elements."""
        held = self.table.sets[name]
        key = self.load(word, held.key_length)
        if (remembered := self.passage.memory.get((name, key))) is not None:
            return remembered
        element = held.find(key)
        return None if element is None else element.verdict or element.value


Step: TypeAlias = Callable[[Machine], NftVerdict | None]
"""What an expression does to registers, packet and memory; the verdict if it has one."""


@lru_cache(maxsize=256)
def _bits(word: int, length: int) -> int:
    """A bit for each of the words that are so many bytes from this one on."""
    return ((1 << (length + 3) // 4) - 1) << word
