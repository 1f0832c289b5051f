"""Kernel modules: which ones the kernel has, what the init container loaded, what to do about the others."""
