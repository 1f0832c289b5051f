"""What is read of the API server and what is written to it, as values (pure)."""
