"""What there is in the node's network namespace, and what an administrator should know of it."""
