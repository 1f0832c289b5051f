"""Starts and speaks to the proxy process; reads the nftables tables and writes transactions."""
