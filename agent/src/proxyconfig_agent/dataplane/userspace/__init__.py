"""The userspace mode: a proxy process behind redirect rules.

mode        the mode as the rest of the agent sees it
proxy/      the process that takes connections and datagrams to endpoints; it knows routes, and nothing of Services or rules
"""
