"""Metrics of the agent."""
