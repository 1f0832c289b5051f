"""TCP connections: accepted, connected to an endpoint, relayed by the kernel."""
