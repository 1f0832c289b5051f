"""What the iptables tables hold, as values."""
