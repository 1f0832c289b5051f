"""What such a table consists of, as values: rules, sets, elements."""
