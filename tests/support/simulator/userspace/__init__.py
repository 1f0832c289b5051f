"""Our userspace mode: rules that lead to the proxy process, and the connections that the process makes."""
