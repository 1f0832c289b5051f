"""The part of a Kubernetes client that the operator and the agents share.

A connection (kubeconfig or in-cluster), a typed list+watch, server-side apply of small objects and Events.
It knows nothing of Services, kernels or ProxyConfigs beyond the types it is given.
"""
