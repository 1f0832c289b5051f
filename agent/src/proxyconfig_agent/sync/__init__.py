"""When the data plane is brought up to date."""
