"""The kernels that tests run on: a complete one, others that each lack something, and a complete one of a newer series."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CONFIG = Path(__file__).with_name("config")


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel; `without`: the options of its configuration that are off here, and on in CONFIG."""

    name: str
    without: tuple[str, ...] = ()

    def configuration(self) -> str:
        """Return the text that Kconfig reads: every option that differs from the smallest kernel that can be."""
        named = f'CONFIG_LOCALVERSION="-{self.name}"\n'
        return named + "".join(f"{option}={value}\n" for option, value in self.options())

    def options(self) -> Iterator[tuple[str, str]]:
        """Yield each option by its full name, with `y`, `n`, a number or a quoted text."""
        for line in CONFIG.read_text().splitlines():
            option, is_set, value = line.partition("=")
            if is_set:
                yield option, "n" if option in self.without else value


@dataclass(frozen=True, slots=True)
class Series:
    """Kernels of one source package of a Debian release; each is built in the tree of the one before it."""

    version: str
    release: str
    kernels: tuple[Kernel, ...]
    merged: frozenset[str] = frozenset()
    """Options that this version does not have any more: what they were for is always there."""


# First the one that has all, last the one that differs most.
KERNELS = (
    Kernel("complete"),
    Kernel("without-fib-ipv6", ("CONFIG_NFT_FIB_IPV6",)),
    Kernel("without-ctnetlink", ("CONFIG_NF_CT_NETLINK",)),
    Kernel("without-nf-tables", ("CONFIG_NF_TABLES",)),
    Kernel("without-nf-tables-and-statistic", ("CONFIG_NF_TABLES", "CONFIG_NETFILTER_XT_MATCH_STATISTIC")),
    Kernel("without-ipv6", ("CONFIG_IPV6",)),
)
TESTED = Series("6.1", "bookworm", KERNELS)
"""What `make test` runs on."""
NEWER = Series("6.12", "trixie", (Kernel("complete-6.12"),), frozenset({"CONFIG_BASE_FULL", "CONFIG_NFT_OBJREF"}))
EVERY = (TESTED, NEWER)
