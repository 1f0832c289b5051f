"""Objects of the API: ProxyConfig, NodeProxy, revisions, the heartbeat, and their names."""
