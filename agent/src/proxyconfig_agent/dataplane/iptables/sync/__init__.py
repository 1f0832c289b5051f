"""Full syncs, changes and repairs of the iptables tables."""
