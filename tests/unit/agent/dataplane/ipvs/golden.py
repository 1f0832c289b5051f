"""The chains around IPVS, in nft's words: `golden/*.nft`, to be read beside `model/base_chains.py`.

`python -m tests.unit.agent.dataplane.ipvs.golden` writes them again; `tests/kernels/ipvs/test_dataplane.py` compares such text with what
nft prints of a real kernel.
"""

from __future__ import annotations

from pathlib import Path

from tests.unit.agent.dataplane.nftables.golden import SETTINGS

from proxyconfig_agent.dataplane.ipvs.kernel.description import describe
from proxyconfig_agent.dataplane.ipvs.model.base_chains import fixed
from proxyconfig_agent.dataplane.ipvs.model.table import table_of
from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.dataplane.tables.kernel import transaction
from proxyconfig_agent.ingest.model import Family

FOLDER = Path(__file__).with_name("golden")


def text(settings: Settings, family: Family) -> str:
    """The transaction that makes an empty table."""
    made = fixed(settings, family)
    return describe(transaction.structure(table_of(family), None, made.containers, made.chains))


def file(family: Family) -> Path:
    return FOLDER / f"ipv{family.value}.nft"


if __name__ == "__main__":
    for each in Family:
        file(each).write_text(text(SETTINGS, each))
