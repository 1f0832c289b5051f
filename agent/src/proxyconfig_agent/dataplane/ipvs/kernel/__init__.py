"""Reads and writes virtual servers, routes and the nf_tables table."""
