"""Whether there is something to retry."""

from __future__ import annotations

from proxyconfig_api.objects.proxyconfig import ProxyConfig
from proxyconfig_api.status.rollout import RolloutPhase

_FAILED = (RolloutPhase.FAILED, RolloutPhase.ROLLING_BACK, RolloutPhase.ROLLED_BACK)


def refusal(config: ProxyConfig) -> str:
    """Why the operator would not start the rollout again: one sentence; empty if it would."""
    name, rollout = config.metadata.name, config.status.rollout
    if rollout is not None and rollout.phase in _FAILED:
        return ""
    state = f"is {rollout.phase}" if rollout is not None else "has not begun"
    return f"the rollout of {name} {state}, and only one that has failed can be retried: see kubectl proxyconfig rollout status {name}"
