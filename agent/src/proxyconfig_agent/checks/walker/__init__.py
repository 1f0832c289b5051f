"""What becomes of a packet, worked out from rules: no kernel, nothing programmed. Pure.

`path` is the way through the hooks, `choices` goes every way where a rule chooses at random; `iptables` interprets rules as text,
`nftables` executes the expressions of nf_tables, `ipvs` is what virtual servers do between rules of either. None of this knows how the
rules are meant: only what Linux does with them.
"""
