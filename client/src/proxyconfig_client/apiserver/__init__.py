"""Requests to an API server: one at a time, server-side apply, Events."""
