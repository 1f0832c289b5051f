"""The controller of a node: collects what is known, decides the next step, carries it out."""
