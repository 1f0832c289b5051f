"""Rules of iptables, as iptables-restore reads and iptables-save prints them."""
