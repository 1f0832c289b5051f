"""What a table in the kernel has been given: numbers, entries, reference counts."""
