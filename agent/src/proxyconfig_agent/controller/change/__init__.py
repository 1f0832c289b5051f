"""A change of the node from one order to the next: decided, carried out, recorded."""
