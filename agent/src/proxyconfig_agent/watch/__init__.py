"""Bytes from the API server, as events. The only stage that reads the network."""
