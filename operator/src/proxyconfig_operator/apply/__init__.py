"""Reconciles one ProxyConfig at a time, and writes."""
