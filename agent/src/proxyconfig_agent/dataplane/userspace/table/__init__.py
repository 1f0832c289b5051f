"""What the agent has programmed, by Service port."""
