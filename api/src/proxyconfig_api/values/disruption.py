"""What a change of a field of a spec does on a node."""

from __future__ import annotations

import enum


class Disruption(enum.StrEnum):
    """The least first; the descriptions in the CRD say the same in sentences."""

    NONE = "None"
    """It is applied live, and no connection is lost."""
    NEW_CONNECTIONS = "NewConnections"
    """It is applied live; existing connections keep the old setting."""
    ENDS_CONNECTIONS = "EndsConnections"
    """It is applied live, and ends some connections."""
    RESTARTS_AGENTS = "RestartsAgents"
    """The agents' pods are replaced; Services keep working."""
    MOVES_NODES = "MovesNodes"
    """Nodes come and go; those that belong to no other ProxyConfig lose their rules."""
