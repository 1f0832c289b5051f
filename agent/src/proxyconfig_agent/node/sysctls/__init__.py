"""Kernel parameters: which ones a ProxyConfig sets, and how they are written and put back."""
