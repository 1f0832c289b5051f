"""The chains that every packet of every Service shares, in nft's words: `golden/*.nft`, to be read beside `model/base_chains.py`.

`python -m tests.unit.agent.dataplane.nftables.golden` writes them again; `tests/kernel/nftables/test_description.py` compares such text
with what nft prints of a real kernel.
"""

from __future__ import annotations

from pathlib import Path

from tests.unit.agent.dataplane.nftables.frontends import ip, network

from proxyconfig_agent.dataplane.nftables.kernel.description import describe
from proxyconfig_agent.dataplane.nftables.model.base_chains import fixed
from proxyconfig_agent.dataplane.nftables.model.endpoint_chains import EndpointChain, chain_of
from proxyconfig_agent.dataplane.nftables.model.table import table_of
from proxyconfig_agent.dataplane.port import LocalTraffic, Settings
from proxyconfig_agent.dataplane.tables.kernel import transaction
from proxyconfig_agent.dataplane.tables.model.ruleset import Chain
from proxyconfig_agent.ingest.model import Family

FOLDER = Path(__file__).with_name("golden")
SETTINGS = Settings(
    local_traffic=LocalTraffic(cidrs=(network("10.244.0.0/24"), network("fd00:244::/64"))),
    node_port_addresses=(ip("192.168.50.1"), ip("fd00:50::1")),
    service_cidrs=(network("10.96.0.0/16"), network("fd00:96::/112")),
)
PICKS = (
    EndpointChain(1),
    EndpointChain(1, local=True),
    EndpointChain(3),
    EndpointChain(3, local=True),
    EndpointChain(3, affinity_s=10800),
)


def chains(settings: Settings, family: Family) -> dict[str, Chain]:
    """The fixed ones, and one of each kind of endpoint chain."""
    return {**fixed(settings, family).chains, **{pick.chain: chain_of(pick, family) for pick in PICKS}}


def text(settings: Settings, family: Family) -> str:
    """The transaction that makes an empty table."""
    made = fixed(settings, family)
    return describe(transaction.structure(table_of(family), None, made.containers, chains(settings, family)))


def file(family: Family) -> Path:
    return FOLDER / f"ipv{family.value}.nft"


if __name__ == "__main__":
    for each in Family:
        file(each).write_text(text(SETTINGS, each))
