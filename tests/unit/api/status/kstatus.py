"""The state that kstatus computes of an object of ours, for Flux, `helm --wait` and kpt.

The rules are those of sigs.k8s.io/cli-utils, pkg/kstatus/README.md, for a kind that kstatus does not know: deletion first, then
observedGeneration, Reconciling, Stalled and Ready; an object that says nothing of all that is Current.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def kstatus(found: Mapping[str, Any]) -> str:
    """`Terminating`, `InProgress`, `Failed` or `Current`."""
    metadata, status = found["metadata"], found.get("status", {})
    conditions = {each["type"]: each["status"] for each in status.get("conditions", ())}
    if "deletionTimestamp" in metadata:
        return "Terminating"
    if status.get("observedGeneration", metadata["generation"]) != metadata["generation"]:
        return "InProgress"
    if conditions.get("Reconciling") == "True":
        return "InProgress"
    if conditions.get("Stalled") == "True":
        return "Failed"
    return "Current" if conditions.get("Ready", "True") == "True" else "InProgress"
