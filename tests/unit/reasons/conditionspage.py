"""docs/conditions.md, made from the tables of both packages: `python -m tests.unit.reasons.conditionspage` writes it, a test compares."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from proxyconfig_agent.report.reasons import REASONS as OF_AGENTS
from proxyconfig_api.status.reasons import Reason
from proxyconfig_operator.status.reasons import REASONS as OF_THE_OPERATOR

PAGE = Path(__file__).parents[3] / "docs" / "conditions.md"
HEAD = """# Reasons of conditions and Events

Each condition, each entry of `status.worstNodes` and each Event has a reason, a word for programs, and a message, a sentence for people
that names the objects concerned. This page says what each reason means and what to do. Made from `report/reasons.py` of the agent and
`status/reasons.py` of the operator by `python -m tests.unit.reasons.conditionspage`.

```
kubectl describe proxyconfigs.proxyconfig.dev       # conditions, worst nodes, Events
kubectl describe nodeproxies.proxyconfig.dev NODE   # conditions of one node
kubectl events -A --types=Warning | grep -i proxy
```
"""
OPERATOR = """
## ProxyConfig
`worstNodes` also has the reasons of NodeProxies, below, and those of kubelet about the agent's pod.
"""
AGENT = """
## NodeProxy
`Ready` has the reason of the worst problem. A problem that needs nothing to be done leaves its condition as it is.
"""


def page() -> str:
    """The whole page."""
    return HEAD + OPERATOR + _table(OF_THE_OPERATOR) + AGENT + _table(OF_AGENTS)


def _table(reasons: Iterable[Reason]) -> str:
    rows = "".join(f"| `{each.name}` | {each.where} | {each.means} | {each.fix or '–'} |\n" for each in reasons)
    return f"\n| reason | where | meaning | what to do |\n|---|---|---|---|\n{rows}"


if __name__ == "__main__":
    PAGE.write_text(page())
