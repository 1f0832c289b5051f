"""ProxyConfig and NodeProxy as frozen values.

Both processes parse objects of the API into these types once, at the border. Nothing here does I/O,
and nothing here knows kopf, kubernetes or netlink (an import-linter contract).
"""
