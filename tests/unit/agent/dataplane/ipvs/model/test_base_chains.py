"""The chains around IPVS."""

from __future__ import annotations

import pytest
from tests.unit.agent.dataplane.ipvs import golden
from tests.unit.agent.dataplane.nftables.golden import SETTINGS

from proxyconfig_agent.ingest.model import Family


@pytest.mark.parametrize("family", Family)
def test_the_rules_are_those_of_the_golden_files(family: Family) -> None:
    assert golden.text(SETTINGS, family) == golden.file(family).read_text()
