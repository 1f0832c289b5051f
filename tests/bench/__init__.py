"""The real kube-proxy and the agent side by side: `make bench`, or `python -m tests.bench`. It describes itself in README.md."""
