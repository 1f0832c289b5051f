"""The iptables programs: their text, their processes."""
