"""List and watch: bytes of the API server become typed objects."""
