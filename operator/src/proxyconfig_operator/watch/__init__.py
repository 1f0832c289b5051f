"""The API server's objects, as they come in."""
