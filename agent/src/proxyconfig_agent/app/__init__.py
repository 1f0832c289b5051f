"""The process: flags, wiring, lifetime of an agent or of a clean-up."""
