"""Full resyncs: from what the kernel has to what it should have."""
