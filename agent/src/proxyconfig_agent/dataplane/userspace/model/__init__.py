"""What the nftables tables of userspace mode hold, and the messages to the proxy process, as values."""
