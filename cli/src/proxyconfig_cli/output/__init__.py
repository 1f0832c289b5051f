"""Objects as JSON or YAML, tables, colour; pure."""
