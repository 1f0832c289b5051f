"""Configures the node as the agent does, for tests that start it as a separate process: prints the findings and the values, as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from proxyconfig_agent.node.sysctls.procsys import Ledger, ProcSys, reconcile
from proxyconfig_agent.node.sysctls.sysctls import Requested


def main(root: str, state: str, *wishes: str) -> None:
    parameters = ProcSys(Path(root))
    requested = [Requested(name, value) for name, _, value in (wish.partition("=") for wish in wishes)]
    findings = reconcile(requested, parameters, Ledger(Path(state)))
    values = {wish.name: parameters.read(wish.name) for wish in requested}
    print(json.dumps({"findings": [[finding.reason, finding.message] for finding in findings], "values": values}))


if __name__ == "__main__":
    main(*sys.argv[1:])
