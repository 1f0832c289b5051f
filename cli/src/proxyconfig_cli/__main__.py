"""`python -m proxyconfig_cli`, the same as `kubectl proxyconfig`."""

from __future__ import annotations

from proxyconfig_cli.app.main import run

if __name__ == "__main__":
    run()
