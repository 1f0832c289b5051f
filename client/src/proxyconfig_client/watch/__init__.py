"""List and watch: keeps a handler equal to one resource of the API server."""
