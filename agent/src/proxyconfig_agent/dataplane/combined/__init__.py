"""Modes that are put together from parts of two, which know nothing of each other.

redirection               kube-proxy's chains that lead to the proxy process in place of endpoints (pure)
userspace_rules           which rules userspace mode has on a node
userspace_by_iptables     userspace mode where the kernel has no nf_tables
"""
