"""Health check node ports."""
