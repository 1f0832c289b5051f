"""What the agent has put into the kernel, by Service port, and what drains there."""
