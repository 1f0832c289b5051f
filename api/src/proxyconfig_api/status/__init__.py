"""What operator and agents report: conditions, their reasons, progress of a rollout."""
