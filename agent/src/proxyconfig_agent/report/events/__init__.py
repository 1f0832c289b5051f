"""Events of a node."""
