"""Whether a node's data path does what it should: asked with packets, and by walking rules."""
