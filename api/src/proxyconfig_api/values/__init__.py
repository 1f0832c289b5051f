"""Types of single fields: durations, CIDRs, selectors, addresses."""
