"""Another proxy on the node: kube-proxy above all."""
