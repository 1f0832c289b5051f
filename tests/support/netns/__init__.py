"""Network namespaces for tests: make them, join them, run functions and processes in them, send packets through them."""
