"""The iptables mode: kube-proxy's chains to the letter, so that CNIs and administrators find what they know.

    Frontends ─▶ lower ─▶ delta ─▶ restore ─▶ iptables-restore
                            ▲
                          saved ◀─ iptables-save

`ruleset` says what the tables hold, `names` how chains are called; `port` and `tool` alone touch the system.
"""
