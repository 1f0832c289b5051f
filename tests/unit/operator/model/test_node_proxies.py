"""What the operator keeps of a NodeProxy."""

from __future__ import annotations

import json

from proxyconfig_operator.model.node_proxies import decode


def test_what_only_people_read_takes_no_memory() -> None:
    status = {
        "observedGeneration": 3,
        "mode": {"effective": "nftables"},
        "capabilities": {"kernel": "6.1"},
        "modules": {"summary": "1 loaded", "items": [{"name": "nf_tables", "state": "Loaded"}]},
    }
    body = {"metadata": {"name": "n1"}, "spec": {"configName": "x", "revisionName": "x-1"}, "status": status}
    proxy = decode(json.dumps(body).encode())
    assert (proxy.metadata.name, proxy.status.observed_generation, proxy.status.mode.effective) == ("n1", 3, "nftables")
    assert (proxy.status.capabilities, proxy.status.modules.items) == ({}, ())
