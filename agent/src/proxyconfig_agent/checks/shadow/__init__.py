"""What the agent would do on a node beside what kube-proxy does there: both rule sets are walked, and nothing is programmed.

iptables-save ─▶ iptables ─┐
netlink ───────▶ nftables ─┤
both ──────────▶ ipvs ─────┼─▶ comparison ─▶ report        `round` does this Service by Service, slowly, in a thread,
Frontends ─▶ lower ────────┘                               and `observer` once a minute
"""
