"""The nftables mode on a kernel of our own making: it takes the agent's netlink messages, and executes their expressions."""
