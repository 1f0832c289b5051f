"""How: the port to the kernel, and the modes behind it."""
