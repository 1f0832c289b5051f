"""The spec of a ProxyConfig: its sections, and what they mean."""
