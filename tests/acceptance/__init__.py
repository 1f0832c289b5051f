"""Which rows of kube-proxy's behaviour hold here, in which mode, and what proves it."""
