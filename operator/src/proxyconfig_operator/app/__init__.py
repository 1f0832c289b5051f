"""The process: flags, wiring, leader election, lifetime."""
