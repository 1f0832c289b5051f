"""Objects of a cluster, as the commands read and write them."""
