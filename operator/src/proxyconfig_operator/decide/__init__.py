"""What has to be written: pure functions of a snapshot."""
