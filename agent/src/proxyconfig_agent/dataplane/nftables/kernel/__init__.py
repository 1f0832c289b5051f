"""Reads the nftables tables and writes transactions."""
