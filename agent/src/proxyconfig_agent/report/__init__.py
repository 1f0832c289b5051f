"""What the agent reports: NodeProxy status, Events, health, metrics, logs."""
