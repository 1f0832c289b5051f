"""What the agent tells others: NodeProxy status, Events, health, metrics, logs."""
