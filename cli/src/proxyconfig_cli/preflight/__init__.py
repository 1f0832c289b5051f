"""What will change for nodes and Services when kube-proxy goes; pure."""
