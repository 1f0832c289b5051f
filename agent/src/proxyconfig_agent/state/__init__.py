"""What is known of the cluster, what is pending, what is programmed."""
