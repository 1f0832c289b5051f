"""Where the nodes of a ProxyConfig stand in a rollout, and in which waves it reaches the others. Pure."""
