"""What operator and agents report: conditions, their reasons, the heartbeat."""
