"""Which nodes move next (pure)."""
