"""Taking nodes over from kube-proxy (pure)."""
