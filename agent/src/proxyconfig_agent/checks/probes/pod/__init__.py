"""Probes from a pod on the node: the pod asks what the agent, in the host's network, sends it, and answers what came of it."""
