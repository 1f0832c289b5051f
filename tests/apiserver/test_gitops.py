"""The expressions of docs/gitops.md for Flux, evaluated by a real API server: each ProxyConfig has a state, and none is an error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.apiserver.objects import CONFIGS, Api, Object, config
from tests.support.polling import eventually

pytestmark = pytest.mark.apiserver

PAGE = Path(__file__).parents[2] / "docs" / "gitops.md"
ROOT = "/apis/admissionregistration.k8s.io/v1"
POLICIES, BINDINGS = f"{ROOT}/validatingadmissionpolicies", f"{ROOT}/validatingadmissionpolicybindings"
STATES = ("inProgress", "failed", "current")
"""In the order in which Flux evaluates them; the first that is true counts."""


def expressions() -> dict[str, str]:
    (block,) = [text for text in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL) if "healthCheckExprs" in text]
    (found,) = yaml.safe_load(block)["spec"]["healthCheckExprs"]
    return {state: re.sub(r"(?<![\w.])(status|metadata)\.", r"object.\1.", found[state]) for state in STATES}


@pytest.fixture
def policy(api: Api) -> Iterator[None]:
    """Refuses every update of a status, with the state that Flux computes."""
    texts = expressions()
    state = " : ".join(f"({texts[name]}) ? '{name}'" for name in STATES) + " : 'unknown'"
    rule = {"apiGroups": ["proxyconfig.dev"], "apiVersions": ["*"], "operations": ["UPDATE"], "resources": ["proxyconfigs/status"]}
    spec = {
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": "false", "messageExpression": f"'state is ' + ({state})"}],
    }
    meta = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": "flux"}}
    api.create(POLICIES, meta | {"kind": "ValidatingAdmissionPolicy", "spec": spec})
    binding = {"policyName": "flux", "validationActions": ["Deny"]}
    api.create(BINDINGS, meta | {"kind": "ValidatingAdmissionPolicyBinding", "spec": binding})
    yield
    api.delete(f"{BINDINGS}/flux")
    api.delete(f"{POLICIES}/flux")


def answer(api: Api, status: Object) -> str:
    """What the policy says; empty until it is in force."""
    try:
        api.patch(f"{CONFIGS}/x/status", {"status": status})
    except AssertionError as refusal:
        return str(refusal)
    return ""


def condition(kind: str, value: str) -> Object:
    return {"type": kind, "status": value, "reason": "Some", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}


@pytest.mark.usefixtures("policy")
def test_every_state_of_a_proxyconfig_is_a_state_for_flux(api: Api) -> None:
    api.create(CONFIGS, config("x"))
    cases: list[tuple[dict[str, Any], str]] = [
        ({"summary": "0/0"}, "inProgress"),  # beside observedGeneration -1, the default
        ({"observedGeneration": 1, "conditions": [condition("Reconciling", "True"), condition("Ready", "False")]}, "inProgress"),
        ({"observedGeneration": 1, "conditions": [condition("Stalled", "True"), condition("Ready", "False")]}, "failed"),
        ({"observedGeneration": 1, "conditions": [condition("Degraded", "True"), condition("Ready", "True")]}, "failed"),
        ({"observedGeneration": 1, "conditions": [condition("Ready", "True")]}, "current"),
        ({"observedGeneration": 1, "conditions": [condition("Ready", "False"), condition("Paused", "True")]}, "current"),
    ]
    eventually(lambda: answer(api, {"summary": "0/0"}), within_s=60)
    for status, state in cases:
        assert f"state is {state}" in answer(api, status), status
