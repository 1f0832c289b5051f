"""The nftables mode on a kernel of our own making, which takes the agent's netlink messages; the agent's walker executes their rules."""
