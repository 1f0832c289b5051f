"""What the cluster's administrator forbids, by a ValidatingAdmissionPolicy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.apiserver.objects import Api, Object
from tests.support.polling import eventually

_ROOT = "/apis/admissionregistration.k8s.io/v1"
_POLICIES, _BINDINGS = f"{_ROOT}/validatingadmissionpolicies", f"{_ROOT}/validatingadmissionpolicybindings"
_NAME = "administrator"
_EVERY: Object = {"apiVersions": ["*"], "operations": ["CREATE", "UPDATE"]}


@contextmanager
def forbidden(api: Api, group: str, resource: str, *, unless: str, message: str, attempt: Callable[[], object]) -> Iterator[None]:
    """Refuse writes of a resource for which `unless` (CEL) does not hold; begins when `attempt`, which must change nothing, is refused."""
    rule = _EVERY | {"apiGroups": [group], "resources": [resource]}
    policy = {"matchConstraints": {"resourceRules": [rule]}, "validations": [{"expression": unless, "message": message}]}
    binding = {"policyName": _NAME, "validationActions": ["Deny"]}
    kind = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": _NAME}}
    try:
        api.create(_POLICIES, kind | {"kind": "ValidatingAdmissionPolicy", "spec": policy})
        api.create(_BINDINGS, kind | {"kind": "ValidatingAdmissionPolicyBinding", "spec": binding})
        eventually(lambda: _is_refused(attempt, message), within_s=60)
        yield
    finally:
        for path in (_BINDINGS, _POLICIES):
            api.delete(f"{path}/{_NAME}")


def _is_refused(attempt: Callable[[], object], message: str) -> bool:
    """Whether the policy is in force; the server takes a moment."""
    try:
        attempt()
    except AssertionError as refusal:
        return message in str(refusal)
    return False
