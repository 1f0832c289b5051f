"""What the node itself needs besides rules: kernel modules, sysctls, conntrack sizes, addresses, capabilities."""
