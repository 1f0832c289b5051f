"""nf_tables tables of Services: what the modes that have one share."""
