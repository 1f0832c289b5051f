"""Turns ProxyConfigs into agents on nodes.

events ─▶ handlers, caches ─▶ queue ─▶ reconciler ─▶ assignment, plan (pure) ─▶ kube (server-side apply)

An event only wakes. A reconcile of one ProxyConfig reads everything from caches, decides with pure functions and
hands what it decided to `kube`, the only module that writes. Nothing is remembered that is not in the API server:
a killed operator goes on where it was.
"""
