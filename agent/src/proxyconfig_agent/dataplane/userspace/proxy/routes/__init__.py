"""Which endpoint a client gets. Pure."""
