"""Asks the kernel for each feature that the mode needs, in transactions that it checks and never carries out."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass

from proxyconfig_agent.dataplane.nftables.kernel import transaction
from proxyconfig_agent.dataplane.nftables.model import sets
from proxyconfig_agent.dataplane.nftables.model.base_chains import fixed
from proxyconfig_agent.dataplane.nftables.model.endpoint_chains import EndpointChain, chain_of
from proxyconfig_agent.dataplane.nftables.model.ruleset import NFPROTO, Chain, Container, Hook, Rule
from proxyconfig_agent.dataplane.nftables.model.sets import containers
from proxyconfig_agent.dataplane.port import DataplaneError, Settings
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink.nftables import expressions as x
from proxyconfig_agent.netlink.nftables.connection import Connection, KernelError
from proxyconfig_agent.netlink.nftables.expressions import Ct, Meta, Update
from proxyconfig_agent.netlink.nftables.messages import Table, new_table

AVAILABLE = "available"
_TABLE = "proxyconfig-probe"
_NAT = Hook("nat", 0, -100)
_POSTROUTING = Hook("nat", 4, 100)


@dataclass(frozen=True, slots=True)
class Feature:
    """Something that a kernel may lack: since which version it has it, and which option or module brings it."""

    name: str
    since: str
    option: str
    chain: Chain
    needs: tuple[str, ...] = ()
    """The sets that are made with it."""


_WHOLE = Feature("whole ruleset", "5.15", "CONFIG_NF_TABLES", Chain(()))


def features(family: Family) -> list[Feature]:
    """From the plainest to the whole, so that what is missing is named before all that builds on it."""
    # The kernel refuses rules that read a register before they write it.
    zeros = x.immediate(bytes(4), 0)
    address = x.immediate(bytes(family.size), 8) + x.immediate(bytes(4), 8 + family.size // 4)
    nat = address + x.destination_nat(NFPROTO[family], 8, 8 + family.size // 4)
    client = zeros + x.immediate(bytes(family.size), 1) + x.immediate(bytes(4), 5)
    affinity = client + x.dynset(sets.AFFINITY, Update.DELETE, 0, 5)
    return [
        Feature("nf_tables", "3.13", "CONFIG_NF_TABLES", Chain(())),
        Feature("nat chains", "3.13", "CONFIG_NFT_NAT", Chain((), _NAT)),
        Feature("dnat", "3.13", "CONFIG_NFT_NAT", Chain((Rule(nat),), _NAT)),
        Feature("masquerade fully-random", "3.18", "CONFIG_NFT_MASQ", Chain((Rule(x.masquerade_fully_random()),), _POSTROUTING)),
        Feature("conntrack state", "3.13", "CONFIG_NFT_CT", Chain((Rule(x.ct(Ct.STATE, 0)),))),
        Feature("meta priority", "3.14", "CONFIG_NF_TABLES", Chain((Rule(zeros + x.set_meta(Meta.PRIORITY, 0)),))),
        Feature("random numbers", "4.9", "CONFIG_NFT_NUMGEN", Chain((Rule(x.random_number(2, 0, 0)),))),
        Feature("address types", "4.10", "CONFIG_NFT_FIB_INET", Chain((Rule(x.address_type(of_source=True, to=0)),))),
        Feature("concatenated ranges", "5.6", "CONFIG_NF_TABLES", Chain(()), (sets.SOURCE_RANGES,)),
        Feature("maps written by packets", "5.4", "CONFIG_NF_TABLES", Chain((Rule(affinity),)), (sets.AFFINITY,)),
    ]


def name_of(family: Family) -> str:
    """As `probe` names it."""
    return f"IPv{family.value}"


def families(connection: Connection) -> tuple[Family, ...]:
    """The families that the kernel has tables for. Raises DataplaneError if there is none."""
    found = tuple(family for family in Family if _has_tables(connection, family))
    if not found:
        raise DataplaneError(
            "nftables: the kernel has neither IPv4 nor IPv6 tables (Linux 3.13 and later, CONFIG_NF_TABLES_IPV4, CONFIG_NF_TABLES_IPV6);"
            " use another kernel, or choose another mode"
        )
    return found


def probe(connection: Connection) -> dict[str, str]:
    """Every feature and family by name, with AVAILABLE; a family that the kernel has no tables for is `missing`.

    Raises DataplaneError naming the first feature that is missing. The whole ruleset, which needs all of them, is asked for first,
    and what is missing only if the kernel refuses that: it waits some 10 ms to forget a transaction, and we with it.
    """
    refused = {family: error for family in Family if (error := _refusal(connection, family, _WHOLE))}
    served = families(connection) if refused else tuple(Family)
    for family in served:
        if family in refused:
            for feature in features(family):
                if error := _refusal(connection, family, feature):
                    raise error
            raise refused[family]
    names = [*map(name_of, served), *(feature.name for feature in (*features(served[0]), _WHOLE))]
    missing = {name_of(family): "missing: Services have no addresses of this family here" for family in set(Family) - set(served)}
    return dict.fromkeys(names, AVAILABLE) | missing


def _has_tables(connection: Connection, family: Family) -> bool:
    try:
        connection.commit([new_table(Table(NFPROTO[family], _TABLE), b"")], keep=False)
    except KernelError as error:
        if error.number in (errno.EOPNOTSUPP, errno.EAFNOSUPPORT):
            return False
        raise DataplaneError(f"nftables: {error}") from error
    return True


def _refusal(connection: Connection, family: Family, feature: Feature) -> DataplaneError | None:
    """What the kernel says against a feature, if anything."""
    table = Table(NFPROTO[family], _TABLE)
    try:
        connection.commit(transaction.structure(table, None, *_made_with(feature, family)), keep=False)
    except KernelError as error:
        what = f"{feature.name} for IPv{family.value} (Linux {feature.since} and later, {feature.option})"
        fix = "load the module, use a newer kernel, or choose another mode"
        return DataplaneError(f"nftables: the kernel lacks {what}: {error}; {fix}")
    return None


def _made_with(feature: Feature, family: Family) -> tuple[Mapping[str, Container], Mapping[str, Chain]]:
    if feature is _WHOLE:
        picks = {pick.chain: chain_of(pick, family) for pick in (EndpointChain(1), EndpointChain(2), EndpointChain(1, affinity_s=1))}
        return containers(family), {**fixed(Settings(), family).chains, **picks}
    return {name: container for name, container in containers(family).items() if name in feature.needs}, {"probe": feature.chain}
