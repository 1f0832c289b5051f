"""The addresses of the node's interfaces, and what follows from the families they are of."""
