"""Turns ProxyConfigs into agents on nodes, and what the agents report into status."""
