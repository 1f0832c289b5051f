"""The chains in front of the proxy, in nft's words: `golden/*.nft`, to be read beside `model/base_chains.py`.

`python -m tests.unit.agent.dataplane.userspace.golden` writes them again.
"""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace
from tests.unit.agent.dataplane.nftables.frontends import ip
from tests.unit.agent.dataplane.nftables.golden import SETTINGS as NODE

from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.dataplane.tables.kernel import transaction
from proxyconfig_agent.dataplane.userspace.kernel.description import describe
from proxyconfig_agent.dataplane.userspace.model.base_chains import fixed
from proxyconfig_agent.dataplane.userspace.model.entrances import PROTOCOLS, Entrance, Entrances
from proxyconfig_agent.dataplane.userspace.model.table import table_of
from proxyconfig_agent.ingest.model import Family

FOLDER = Path(__file__).with_name("golden")
SETTINGS = replace(NODE, localhost_node_ports=True)
_KINDS = [(protocol, local) for protocol in PROTOCOLS for local in (False, True)]
ENTRANCES = Entrances(
    {Entrance(family, *kind): 40000 + number for family in Family for number, kind in enumerate(_KINDS)}, (ip("192.168.50.1"),)
)
"""The node has no IPv6 address."""


def text(settings: Settings, family: Family) -> str:
    """The transaction that makes an empty table."""
    made = fixed(settings, ENTRANCES, family)
    return describe(transaction.structure(table_of(family), None, made.containers, made.chains))


def file(family: Family) -> Path:
    return FOLDER / f"ipv{family.value}.nft"


if __name__ == "__main__":
    for each in Family:
        file(each).write_text(text(SETTINGS, each))
