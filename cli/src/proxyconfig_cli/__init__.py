"""`kubectl proxyconfig`: moves a cluster from kube-proxy to ProxyConfigs, and rolls changes out."""

__version__ = "0.1.0"
