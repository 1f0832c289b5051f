"""JSON to values and back, and what is wrong with a value."""
