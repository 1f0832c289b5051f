"""The process: the commands together, completion, errors as sentences."""
