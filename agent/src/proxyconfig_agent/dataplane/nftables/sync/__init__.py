"""Full syncs, changes and repairs of the nftables tables."""
