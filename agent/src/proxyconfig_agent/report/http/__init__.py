"""The agent's pages: health and metrics."""
