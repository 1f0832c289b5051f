"""A connection to an API server: address, TLS, credentials, and what can go wrong."""
