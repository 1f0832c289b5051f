"""Whether this node's data path works: what to ask, asking it, and what the answers say about a change."""
