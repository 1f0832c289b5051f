"""What the agent says to the process, and how it finds it."""
