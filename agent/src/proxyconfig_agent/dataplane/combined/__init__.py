"""Modes that are put together from parts of two, which know nothing of each other.

redirection               kube-proxy's chains that lead to the proxy process in place of endpoints (pure)
nftables_with_localhost   nftables mode with a proxy process for NodePorts on loopback addresses
node_ports                what that process has to do (pure)
userspace_rules           which rules userspace mode has on a node
userspace_by_iptables     userspace mode where the kernel has no nf_tables
"""
