"""nf_tables on the wire: attributes, expressions, messages, the socket. Facts of the kernel's interface; nothing of Services."""
