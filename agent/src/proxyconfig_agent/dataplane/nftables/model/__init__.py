"""What the nftables tables hold, as values."""
