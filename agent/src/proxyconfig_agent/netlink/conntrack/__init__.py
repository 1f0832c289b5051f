"""The protocol of connection tracking (ctnetlink): requests, and entries as values."""
