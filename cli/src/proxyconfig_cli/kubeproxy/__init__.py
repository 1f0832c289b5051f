"""kube-proxy's configuration, and the ProxyConfig that behaves the same; pure."""
