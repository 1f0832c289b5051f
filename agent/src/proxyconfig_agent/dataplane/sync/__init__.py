"""What the syncs of all modes share: portions of changes, drift, Services set aside, seconds per stage."""
