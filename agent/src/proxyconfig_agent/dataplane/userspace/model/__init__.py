"""What the nftables tables of userspace mode hold, and what the proxy process is told, as values."""
