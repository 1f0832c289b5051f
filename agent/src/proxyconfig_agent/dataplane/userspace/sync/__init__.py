"""Full syncs: of the rules, and of the proxy process's routes."""
