"""Tables of nf_tables, as netlink has them: rules are executed expression by expression, as the kernel does it."""
