"""Which endpoints serve which address on this node: once, for every mode. Pure."""
