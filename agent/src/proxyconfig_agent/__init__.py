"""Turns Services into kernel state on one node: watch → ingest → select → lower → delta → commit."""

__version__ = "0.1.0"
