"""The NodeProxy's status."""
