"""What the kernel holds in this mode, as values: virtual servers, private addresses, chains and maps."""
