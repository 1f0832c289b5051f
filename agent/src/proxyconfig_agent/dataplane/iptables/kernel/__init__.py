"""What iptables mode asks the kernel directly."""
