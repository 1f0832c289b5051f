"""The active mode: probed, chosen, exchanged, and its runner."""
