"""HTTP/1.1 for one API server."""
