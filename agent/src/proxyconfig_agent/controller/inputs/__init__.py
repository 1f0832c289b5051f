"""What the controller decides from: the order, the caches, the node's addresses, another proxy."""
