"""One module per command: options, reading, and what is printed."""
