"""Reads tables and writes transactions."""
